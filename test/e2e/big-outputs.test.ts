import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  GetFunctionConfigurationCommand,
  LambdaClient,
  UpdateFunctionConfigurationCommand,
} from '@aws-sdk/client-lambda';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { localSettings } from '../../local/cloud/clients.ts';
import { statePaths } from '../../local/cloud/paths.ts';
import { readState } from '../../local/cloud/state.ts';
import { Cloud } from '../support/cloud/cloud.ts';
import { projectFolder, runctl, shellEnvironment } from '../support/cloud/runctl.ts';
import { tarGz } from './archives.ts';

const FINISH = 'runctl-finish-run';
/** A file of more than 300 KB is sent in parts of 100 KB. Of other runs meanwhile, too: their outputs are the same in the end. */
const SIZES = { OUTPUT_PART_SIZES: '300000,100000' };
const TRAIN = `import hashlib, os
os.makedirs("outputs", exist_ok=True)
data = os.urandom(1_000_000)
with open("outputs/model.bin", "wb") as file:
    file.write(data)
print("sha256", hashlib.sha256(data).hexdigest())
`;

let cloud: Cloud;
let lambda: LambdaClient;
let before: Record<string, string>;
const setVariables = (Variables: Record<string, string>) =>
  lambda.send(new UpdateFunctionConfigurationCommand({ FunctionName: FINISH, Environment: { Variables } }));

beforeAll(async () => {
  cloud = await Cloud.connect();
  const state = await readState(statePaths(inject('cloudFolder')));
  if (state === undefined) throw new Error('there is no cloud');
  lambda = new LambdaClient(localSettings(state));
  const { Environment } = await lambda.send(new GetFunctionConfigurationCommand({ FunctionName: FINISH }));
  before = { ...Environment?.Variables };
  await setVariables({ ...before, ...SIZES });
});
afterAll(async () => {
  await setVariables(before);
  lambda.destroy();
});

it('outputs that one PUT does not take arrive as one object, and pull unpacks them', async () => {
  const key = `uploads/${cloud.project}/big.tar.gz`;
  await cloud.put(key, await tarGz({ 'train.py': TRAIN }));
  const run = await cloud.finished(await cloud.runAppears(key));
  expect(run.output, JSON.stringify(run.cause)).toMatchObject({ outcome: 'succeeded', warnings: [] });
  const { outputs } = await cloud.manifest(run.arn);
  const object = await cloud.object(outputs.archive?.key ?? '');
  expect(object?.length).toBe(outputs.archive?.bytes);
  expect(object?.length).toBeGreaterThan(1_000_000);
  expect(
    createHash('sha256')
      .update(object ?? '')
      .digest('hex'),
  ).toBe(outputs.archive?.sha256);
  const part = await cloud.object(`pieces/${run.id}/parts/outputs.tar.gz/00003`);
  expect(part?.equals(object?.subarray(300_000, 400_000) ?? Buffer.alloc(0))).toBe(true);
  expect(run.history).not.toMatch(/x-amz-signature|X-Amz-Signature/);
  const folder = projectFolder(cloud.project);
  const pulled = await runctl(folder, ['pull', run.id, '--to', 'mine'], await shellEnvironment());
  expect(pulled.code, pulled.stderr).toBe(0);
  const log = await cloud.log(run.id, 'train');
  const model = readFileSync(join(folder, 'mine', 'outputs', 'model.bin'));
  const sha256 = createHash('sha256').update(model).digest('hex');
  expect(log).toContain(`sha256 ${sha256}`);
}, 300_000);
