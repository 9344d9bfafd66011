import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { STACK_NAME } from '../../core/names.ts';
import { runCdk } from '../../local/cdk.ts';
import { projectRoot, statePaths } from '../../local/paths.ts';
import { tarGz } from './archives.ts';
import { Cloud } from './cloud.ts';
import { bringUpOwnCloud, type OwnCloud } from './own-cloud.ts';

let own: OwnCloud;
let cloud: Cloud;
beforeAll(async () => {
  own = await bringUpOwnCloud('schedule', 'always');
  cloud = await Cloud.connect(own.folder);
});
afterAll(() => own.remove());

/** Deploys the stack again with other schedules in its context, as a person does who changed cdk.json. */
async function deployWith(schedules: readonly object[]): Promise<void> {
  const context = ['runctl:local=true', `runctl:schedules=${JSON.stringify(schedules)}`].flatMap((pair) => [
    '--context',
    pair,
  ]);
  const output = join(own.folder, 'cdk.out');
  const args = ['deploy', STACK_NAME, ...context, '--output', output, '--require-approval', 'never'];
  const signal = new AbortController().signal;
  await runCdk({ args, cwd: projectRoot, report: () => undefined, signal }, own.state, statePaths(own.folder));
}

describe('a schedule from the context', () => {
  it('starts a run when its time has come', async () => {
    const key = 'archives/scheduled.tar.gz';
    const archive = await cloud.put(key, await tarGz({ 'train.py': 'print("on time")\n' }));
    // While the deployment lasts: so it is due as soon as the emulator, which looks every 10 s, knows of it.
    const due = new Date(Date.now() + 1_000).toISOString().slice(0, 19);
    await deployWith([
      {
        name: 'soon',
        expression: `at(${due})`,
        timezone: 'UTC',
        spec: { archive, project: 'scheduled', instance: cloud.instanceId },
      },
    ]);
    const run = await cloud.finished(await cloud.runAppears(key));
    expect(run).toMatchObject({ status: 'SUCCEEDED', output: { outcome: 'succeeded' } });
    expect(await cloud.log(run.id, 'train')).toBe('on time\n');
  });
});
