import { CloudWatchLogsClient } from '@aws-sdk/client-cloudwatch-logs';
import { S3Client } from '@aws-sdk/client-s3';
import { SFNClient } from '@aws-sdk/client-sfn';
import { type CloudAccess, region } from './credentials.ts';

export interface Clients {
  readonly s3: S3Client;
  readonly sfn: SFNClient;
  readonly logs: CloudWatchLogsClient;
  destroy(): void;
}

/** Settings of an SDK client of the emulator, independent of the person's own AWS settings. */
export function localSettings({ endpoint, credentials }: Pick<CloudAccess, 'endpoint' | 'credentials'>) {
  return { endpoint, region, credentials };
}

/** As {@link localSettings}, for a client of the local SSM agent. */
export function ssmSettings({ ssmEndpoint, credentials }: CloudAccess) {
  return { endpoint: ssmEndpoint, region, credentials };
}

/** Clients of the emulator, independent of the person's own AWS settings. */
export function localClients(access: CloudAccess): Clients {
  const settings = localSettings(access);
  const s3 = new S3Client({ ...settings, forcePathStyle: true });
  const sfn = new SFNClient(settings);
  const logs = new CloudWatchLogsClient(settings);
  return {
    s3,
    sfn,
    logs,
    destroy: () => {
      for (const client of [s3, sfn, logs]) client.destroy();
    },
  };
}
