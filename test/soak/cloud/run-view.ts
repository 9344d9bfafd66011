import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { DescribeExecutionCommand, type HistoryEvent, ListExecutionsCommand, SFNClient } from '@aws-sdk/client-sfn';
import { MANIFEST, OUTPUTS, runFileKey } from '../../../core/names.ts';
import { type Manifest, manifestSchema } from '../../../core/outcome/manifest-schema.ts';
import { localSettings } from '../../../local/cloud/clients.ts';
import type { LocalState } from '../../../local/cloud/state.ts';
import { historyOf } from '../../support/cloud/history.ts';
import { waitFor } from '../../support/instance/processes.ts';

const EVERY_MS = 300;

/** `latest.json` at one moment. */
export interface Latest {
  /** Epoch ms. */
  readonly at: number;
  readonly seq: number;
}

/** The one run of a local cloud, as AWS shows it. */
export class RunView {
  /** Each change of latest.json. */
  readonly latest: Latest[] = [];
  private readonly timer: NodeJS.Timeout;

  private constructor(
    readonly id: string,
    private readonly arn: string,
    private readonly bucket: string,
    private readonly sfn: SFNClient,
    private readonly s3: S3Client,
    project: string,
  ) {
    this.timer = setInterval(() => void this.look(`checkpoints/${project}/${id}/latest.json`), EVERY_MS);
  }

  /** Waits until the run begins. */
  static async find(state: LocalState, project: string): Promise<RunView> {
    const outputs = state.deployed?.outputs ?? {};
    const sfn = new SFNClient(localSettings(state));
    const arn = await waitFor(async () => {
      const found = await sfn.send(new ListExecutionsCommand({ stateMachineArn: outputs[OUTPUTS.machine] }));
      return found.executions?.[0]?.executionArn ?? null;
    });
    const s3 = new S3Client(localSettings(state));
    return new RunView(arn.split(':').at(-1) ?? '', arn, outputs[OUTPUTS.bucket] ?? '', sfn, s3, project);
  }

  async hasEnded(): Promise<boolean> {
    return (await this.describe()).status !== 'RUNNING';
  }

  async describe() {
    return await this.sfn.send(new DescribeExecutionCommand({ executionArn: this.arn }));
  }

  async manifest(): Promise<Manifest> {
    const look = async () => {
      const text = await this.object(runFileKey(this.id, MANIFEST));
      return text === null ? null : manifestSchema.parse(JSON.parse(text));
    };
    return await waitFor(look, 120);
  }

  async history(): Promise<HistoryEvent[]> {
    return await historyOf(this.sfn, this.arn);
  }

  close(): void {
    clearInterval(this.timer);
    this.sfn.destroy();
    this.s3.destroy();
  }

  private async look(key: string): Promise<void> {
    const text = await this.object(key).catch(() => null);
    if (text === null) return;
    const { seq } = JSON.parse(text) as { seq: number };
    if (seq !== this.latest.at(-1)?.seq) this.latest.push({ at: Date.now(), seq });
  }

  private async object(Key: string): Promise<string | null> {
    try {
      return (
        (await (await this.s3.send(new GetObjectCommand({ Bucket: this.bucket, Key }))).Body?.transformToString()) ?? ''
      );
    } catch (error) {
      if ((error as Error).name === 'NoSuchKey') return null;
      throw error;
    }
  }
}
