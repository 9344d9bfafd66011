import { CloudWatchLogsClient } from '@aws-sdk/client-cloudwatch-logs';
import { S3Client } from '@aws-sdk/client-s3';
import { SFNClient } from '@aws-sdk/client-sfn';
import { dummyCredentials, region } from './credentials.ts';

export interface Clients {
  readonly s3: S3Client;
  readonly sfn: SFNClient;
  readonly logs: CloudWatchLogsClient;
  destroy(): void;
}

/** For any client of the AWS SDK: the emulator at `endpoint`, whatever the person's own AWS settings say. */
export function localSettings(endpoint: string) {
  return { endpoint, region, credentials: dummyCredentials };
}

/** Clients of the emulator at `endpoint`, whatever the person's own AWS settings say. */
export function localClients(endpoint: string): Clients {
  const settings = localSettings(endpoint);
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
