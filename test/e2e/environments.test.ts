import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, inject, it } from 'vitest';
import { Cloud } from '../support/cloud/cloud.ts';
import { tarGz } from './archives.ts';

const PROJECT = 'warm';
const FILES = {
  'train.py':
    'import time\nimport joblib, threadpoolctl\nprint(threadpoolctl.__version__, joblib.__version__, flush=True)\ntime.sleep(10)\n',
  'requirements.txt': 'threadpoolctl\njoblib\n',
};

/** SHA-256 of the files of the packages, by path in the project's environment. */
function packagesOn(cloud: Cloud): Record<string, string> {
  const folder = join(cloud.home, '.runctl', PROJECT, 'environment', 'lib');
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = files.map((entry) => join(entry.parentPath, entry.name));
  const ofPackages = paths.filter((path) => !/\.pyc$|_virtualenv|runctl-image\.pth$/.test(path)).sort();
  return Object.fromEntries(
    ofPackages.map((path) => [
      path.slice(folder.length),
      createHash('sha256').update(readFileSync(path)).digest('hex'),
    ]),
  );
}

it('an instance restores the environment that another one has installed, byte for byte', async () => {
  const first = await Cloud.connect();
  const second = await Cloud.connect(inject('cloudFolder'), 'second');
  const archive = await first.put('archives/warm/code.tar.gz', await tarGz(FILES));
  const run = async (cloud: Cloud, spec: object = {}) => {
    const arn = await cloud.start({
      archive,
      project: PROJECT,
      instance: cloud.instanceId,
      environment: 'project',
      ...spec,
    });
    const ended = await cloud.finished(arn);
    expect(ended.output).toMatchObject({ outcome: 'succeeded', warnings: [] });
    expect(ended.history).not.toMatch(/x-amz-signature|X-Amz-Signature/);
    return { ended, manifest: await cloud.manifest(arn), log: await cloud.log(ended.id, 'install') };
  };
  const installed = await run(first);
  expect(installed.log).toContain('installing requirements.txt into');
  expect(installed.manifest.environment).toEqual({
    key: expect.stringMatching(/^[0-9a-f]{64}$/),
    sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    restored: false,
  });

  const restored = await run(second);
  expect(restored.log).toMatch(/^restored \d packages \(\d+ MB\) from S3 in \d+\.\d s$/m);
  expect(restored.log).not.toContain('installing requirements.txt into');
  expect(restored.manifest.environment).toEqual({ ...installed.manifest.environment, restored: true });
  expect(packagesOn(second)).toEqual(packagesOn(first));
  expect(await second.log(restored.ended.id, 'train')).toBe(await first.log(installed.ended.id, 'train'));

  const third = await Cloud.connect(inject('cloudFolder'), 'third');
  const without = await run(third, { storeEnvironment: false });
  expect(without.log).toContain('installing requirements.txt into');
  expect(without.manifest.environment).toBe(null);
}, 300_000);
