import { createHash } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { GetLogEventsCommand } from '@aws-sdk/client-cloudwatch-logs';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { DescribeExecutionCommand, type DescribeExecutionOutput, StopExecutionCommand } from '@aws-sdk/client-sfn';
import { errorName } from '../aws/errors.ts';
import type { Account } from '../cli/account/account.ts';
import { readCode, withArchive } from '../cli/archive/code.ts';
import { storeArchive } from '../cli/archive/send-archive.ts';
import { startBake } from '../cli/images/bake.ts';
import type { BakeOutput } from '../cli/output/schemas.ts';
import { type StartedRun, startRun } from '../cli/runs/start.ts';
import { archiveUri, type JobName, logStream, MANIFEST, runFileKey } from '../core/names.ts';
import { type Manifest, manifestSchema } from '../core/outcome/manifest-schema.ts';
import type { SpecInput } from '../core/spec/spec.ts';
import { type RunEnding, readEnding } from '../core/workflow/run-ending.ts';

/** The project of these runs. Its folder stays on the instance, with one small file. */
export const PROJECT = 'runctl-verify';
const FOLDER = fileURLToPath(new URL('project/', import.meta.url));
/** The project of the image that is baked and removed. */
const IMAGE_PROJECT = 'runctl-verify-image';
const IMAGE_FOLDER = fileURLToPath(new URL('packages/', import.meta.url));
const POLL_MS = 2_000;
/** Longer than any of these runs takes, including the cold starts of a new stack. */
const TIMEOUT_MS = 15 * 60_000;

export interface EndedRun extends StartedRun {
  readonly status: string;
  readonly error: string | null;
  readonly ending: RunEnding;
}

export interface EndedBake {
  readonly status: string;
  readonly error: string | null;
  readonly output: Partial<Pick<BakeOutput, 'image' | 'made'>>;
}

const QUIET = { failed: () => undefined, recovered: () => undefined };

/** Starts runs on an account and reads their logs and files. */
export class AccountRuns {
  readonly #archive: Promise<string>;

  constructor(
    readonly account: Account,
    readonly instanceId: string,
    readonly signal: AbortSignal,
  ) {
    this.#archive = this.#uploadArchive(FOLDER, PROJECT);
    this.#archive.catch(() => undefined); // reported when it is needed
  }

  async #uploadArchive(folder: string, project: string): Promise<string> {
    const bucket = await this.account.output('bucket');
    const code = await readCode(folder, { includeSecrets: false });
    return await withArchive(code, { includeSecrets: false, signal: this.signal }, async (archive) =>
      archiveUri(
        await storeArchive(this.account.s3, archive, {
          bucket,
          project,
          patch: 'none',
          expires: true,
          assemble: null,
        }),
      ),
    );
  }

  /** @param args the arguments of train.py */
  async start(args: readonly string[], spec: SpecInput = {}): Promise<StartedRun> {
    const [archive, machine] = await Promise.all([this.#archive, this.account.output('machine')]);
    const input = {
      ...spec,
      archive,
      project: PROJECT,
      instance: this.instanceId,
      script: 'train.py',
      args: [...args],
    };
    return await startRun(this.account.sfn, machine, input, QUIET, this.signal);
  }

  /** Makes an image, and waits for it. @param withinMs how long that may take */
  async bake(launchTemplate: string, withinMs: number): Promise<EndedBake> {
    const archive = await this.#uploadArchive(IMAGE_FOLDER, IMAGE_PROJECT);
    const machine = await this.account.output('bakeMachine');
    const input = { launchTemplate, spec: { project: IMAGE_PROJECT, archive } };
    const { executionArn } = await startBake(this.account.sfn, machine, input, QUIET, this.signal);
    const { status, error, output } = await this.#ended(executionArn, 'the bake', withinMs);
    return {
      status: status ?? '',
      error: error ?? null,
      output: JSON.parse(output ?? '{}') as EndedBake['output'],
    };
  }

  async stop({ executionArn }: StartedRun): Promise<void> {
    await this.account.sfn.send(new StopExecutionCommand({ executionArn }));
  }

  async waitForEnd(run: StartedRun): Promise<EndedRun> {
    const execution = await this.#ended(run.executionArn, run.runId);
    const { status = '', error = null, cause = null, output = null } = execution;
    const ending = readEnding({ status, error, cause, output });
    return { ...run, status, error, ending };
  }

  async #ended(executionArn: string, name: string, withinMs = TIMEOUT_MS): Promise<DescribeExecutionOutput> {
    const look = async () => {
      const found = await this.account.sfn.send(new DescribeExecutionCommand({ executionArn }));
      return found.status === 'RUNNING' ? null : found;
    };
    return await this.waitFor(`the end of ${name}`, look, withinMs);
  }

  /** Waits until the training's log in CloudWatch contains a text. */
  async waitForLog(run: StartedRun, text: string): Promise<void> {
    await this.waitFor(`"${text}" in the log of ${run.runId}`, async () =>
      (await this.log(run, 'train')).includes(text) ? true : null,
    );
  }

  /** The messages of a job's log stream, concatenated; empty if there are none yet. */
  async log({ runId }: StartedRun, job: JobName): Promise<string> {
    const stream = { logGroupName: await this.account.output('logGroup'), logStreamName: logStream(runId, job) };
    const messages: string[] = [];
    let nextToken: string | undefined;
    try {
      for (;;) {
        const page = await this.account.logs.send(
          new GetLogEventsCommand({ ...stream, startFromHead: true, nextToken }),
        );
        messages.push(...(page.events ?? []).map(({ message = '' }) => message));
        if (page.nextForwardToken === nextToken) return messages.join('');
        nextToken = page.nextForwardToken;
      }
    } catch (error) {
      if (errorName(error) === 'ResourceNotFoundException') return '';
      throw error;
    }
  }

  async manifest({ runId }: StartedRun): Promise<Manifest> {
    return await this.waitFor(`the manifest of ${runId}`, async () => {
      const body = await this.file(runId, MANIFEST);
      return body === null ? null : manifestSchema.parse(JSON.parse(body.toString('utf8')));
    });
  }

  /** A job's whole log, from the bucket. */
  async wholeLog({ runId }: StartedRun, job: JobName): Promise<string> {
    const body = await this.file(runId, `${job}.log.gz`);
    return body === null ? '' : gunzipSync(body).toString('utf8');
  }

  async file(runId: string, name: string): Promise<Buffer | null> {
    const object = { Bucket: await this.account.output('bucket'), Key: runFileKey(runId, name) };
    try {
      const { Body } = await this.account.s3.send(new GetObjectCommand(object));
      return Buffer.from((await Body?.transformToByteArray()) ?? []);
    } catch (error) {
      if (errorName(error) === 'NoSuchKey') return null;
      throw error;
    }
  }

  /** Waits for a file of a run that is written after its end. */
  async awaitFile(runId: string, name: string): Promise<Buffer> {
    return await this.waitFor(`${name} of ${runId}`, () => this.file(runId, name));
  }

  /** @throws when it was not found in time */
  async waitFor<T>(what: string, find: () => Promise<T | null>, withinMs = TIMEOUT_MS): Promise<T> {
    const deadline = Date.now() + withinMs;
    while (Date.now() < deadline) {
      const found = await find();
      if (found !== null) return found;
      await setTimeout(POLL_MS, undefined, { signal: this.signal });
    }
    throw new Error(`${what} was not found within ${withinMs / 60_000} minutes`);
  }
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
