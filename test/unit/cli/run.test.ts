import { PassThrough } from 'node:stream';
import type { CloudWatchLogsClient } from '@aws-sdk/client-cloudwatch-logs';
import type { SFNClient } from '@aws-sdk/client-sfn';
import { expect, it } from 'vitest';
import type { Account } from '../../../cli/account/account.ts';
import { toReadable } from '../../../cli/account/aws-errors.ts';
import { follow } from '../../../cli/runs/run.ts';
import { Terminal } from '../../../cli/terminal/terminal.ts';
import { awsError, fakeClient } from '../../support/fakes/sdk-client.ts';

it('credentials that expire while a run is followed do not look like a run that failed', async () => {
  const { client: sfn } = fakeClient<SFNClient>({
    GetExecutionHistoryCommand: () => awsError('ExpiredTokenException'),
  });
  const { client: logs } = fakeClient<CloudWatchLogsClient>({});
  const account = { sfn, logs, output: async () => '/runctl/runs' } as unknown as Account;
  const err = new PassThrough() as unknown as NodeJS.WriteStream & PassThrough;
  const terminal = new Terminal({ out: err, err, in: process.stdin, env: {} });
  const following = follow(
    { account, terminal, signal: new AbortController().signal },
    { runId: 'nets-1', executionArn: 'arn:nets-1' },
    { project: 'nets', archive: 's3://b/k' },
    {},
  );
  const shown = await following.catch(toReadable);
  expect(shown).toMatchObject({ exitCode: 3, message: 'Your AWS credentials have expired.' });
  expect(String(err.read())).toContain('Detached. The run continues.\n  follow it  runctl logs -f nets-1\n');
});
