import { join } from 'node:path';
import { beforeAll, describe, expect, inject, it } from 'vitest';
import { STACK_NAME } from '../../core/names.ts';
import { runCdk } from '../../local/cdk.ts';
import { projectRoot, statePaths } from '../../local/paths.ts';
import { readState } from '../../local/state.ts';
import { tarGz } from './archives.ts';
import { Cloud } from './cloud.ts';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await Cloud.connect();
});

/** Deploys the stack again with other schedules in its context, as a person does who changed cdk.json. */
async function deployWith(schedules: readonly object[]): Promise<void> {
  const paths = statePaths(inject('cloudFolder'));
  const state = await readState(paths);
  if (!state) throw new Error('there is no local cloud');
  const context = ['runctl:local=true', `runctl:schedules=${JSON.stringify(schedules)}`].flatMap((pair) => [
    '--context',
    pair,
  ]);
  const args = [
    'deploy',
    STACK_NAME,
    ...context,
    '--output',
    join(paths.base, 'schedule-cdk.out'),
    '--require-approval',
    'never',
  ];
  const signal = new AbortController().signal;
  await runCdk({ args, cwd: projectRoot, report: () => undefined, signal }, state, paths);
}

describe('a schedule from the context', () => {
  it('starts a run every minute', async () => {
    const archive = await cloud.put('archives/scheduled.tar.gz', await tarGz({ 'train.py': 'print("on time")\n' }));
    const known = new Set(await cloud.executions());
    await deployWith([
      {
        name: 'minutely',
        expression: 'rate(1 minute)',
        timezone: 'Europe/Berlin',
        spec: { archive, project: 'scheduled', instance: cloud.instanceId },
      },
    ]);
    try {
      const arn = await cloud.appears((execution) => !known.has(execution));
      const run = await cloud.finished(arn);
      expect(run).toMatchObject({ status: 'SUCCEEDED', output: { outcome: 'succeeded' } });
      expect(await cloud.log(run.id, 'train')).toBe('on time\n');
    } finally {
      await deployWith([]);
    }
  });
});
