import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { strToU8, zipSync } from 'fflate';
import { beforeAll, describe, expect, it } from 'vitest';
import { Cloud, type EndedRun } from '../support/cloud/cloud.ts';
import { killQuietly, waitFor } from '../support/instance/processes.ts';
import { tarGz } from './archives.ts';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await Cloud.connect();
});

/** A package that no index has. */
const MISSING = 'runctl-no-such-package==1.0\n';

async function run(name: string, files: Record<string, string>, spec: object = {}): Promise<EndedRun> {
  const archive = await cloud.put(`archives/${name}.tar.gz`, await tarGz(files));
  return cloud.finished(await cloud.start({ archive, project: name, instance: cloud.instanceId, ...spec }));
}

describe('requirements that cannot be installed', () => {
  it('are a warning, and the likely cause when the training misses a module', async () => {
    const files = { 'train.py': 'import runctl_no_such_package\n', 'requirements.txt': MISSING };
    const ended = await run('missing', files);
    expect(ended).toMatchObject({
      status: 'FAILED',
      error: 'TrainingFailed',
      cause: { outcome: 'failed', exitCode: 1 },
    });
    expect(ended.cause?.message).toContain('Likely cause: the requirements were not installed');
    expect(ended.cause?.warnings.join()).toMatch(/The install failed: .*runctl-no-such-package/s);
    const log = await cloud.log(ended.id, 'install');
    expect(log).toBe(cloud.jobFile(ended.id, 'install', 'log'));
    expect(log).toMatch(/uv.*fail/i);
    expect(log).toMatch(/pip3 --user/);
  });

  it('leave a training that does not need them to succeed, with the warning', async () => {
    const ended = await run('unneeded', { 'train.py': 'print("fine")\n', 'requirements.txt': MISSING });
    expect(ended).toMatchObject({ status: 'SUCCEEDED', output: { outcome: 'succeeded' } });
    expect(ended.output?.warnings).toHaveLength(1);
  });

  it('end the run when the spec says install: required', async () => {
    const files = { 'train.py': 'print("never")\n', 'requirements.txt': MISSING };
    const ended = await run('required', files, { install: 'required' });
    expect(ended).toMatchObject({ status: 'FAILED', error: 'InstallFailed', cause: { outcome: 'install-failed' } });
    expect(ended.states).not.toContain('Start training');
  });
});

describe('requirements that did not change', () => {
  it('are not installed again: one answer, no download', async () => {
    const files = { 'train.py': 'import six\nprint(six.__version__)\n', 'requirements.txt': 'six==1.17.0\n' };
    const first = await run('cached', files);
    const second = await run('cached', files);
    for (const ended of [first, second]) {
      expect(ended.status).toBe('SUCCEEDED');
      expect(await cloud.log(ended.id, 'train')).toBe('1.17.0\n');
    }
    const exit = JSON.parse(cloud.jobFile(second.id, 'install', 'exit.json'));
    expect(exit.result).toMatchObject({ cached: true });
    expect(JSON.parse(cloud.jobFile(second.id, 'sync', 'exit.json')).result).toMatchObject({ cached: true });
    expect(second.states).not.toContain('Watch install');
  });
});

describe('a project without the key requirements', () => {
  it('gets the dependencies of its pyproject.toml', async () => {
    const files = {
      'train.py': 'import six\nprint(six.__version__)\n',
      'pyproject.toml': '[project]\nname = "six-user"\nversion = "0.1"\ndependencies = ["six==1.16.0"]\n',
    };
    const ended = await run('pyproject', files, { install: 'required' });
    expect(ended.status).toBe('SUCCEEDED');
    expect(await cloud.log(ended.id, 'train')).toBe('1.16.0\n');
    expect(await cloud.log(ended.id, 'install')).toContain('installing pyproject.toml into');
  });
});

describe('an install that was interrupted', () => {
  const NAME = 'interrupted_wheel-1.0-py3-none-any.whl';
  const INFO = 'interrupted_wheel-1.0.dist-info';
  const WHEEL = zipSync({
    'interrupted_wheel.py': strToU8('ANSWER = 42\n'),
    [`${INFO}/METADATA`]: strToU8('Metadata-Version: 2.1\nName: interrupted-wheel\nVersion: 1.0\n'),
    [`${INFO}/WHEEL`]: strToU8('Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n'),
    [`${INFO}/RECORD`]: strToU8(`interrupted_wheel.py,,\n${INFO}/METADATA,,\n${INFO}/WHEEL,,\n${INFO}/RECORD,,\n`),
  });

  it('is started again once, and the training has what it needs', async () => {
    let isOpen = false;
    let requests = 0;
    const server = createServer((_, response) => {
      requests += 1;
      if (isOpen) response.end(WHEEL);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/${NAME}`;
      const files = {
        'train.py': 'import interrupted_wheel\nprint(interrupted_wheel.ANSWER)\n',
        'requirements.txt': `interrupted-wheel @ ${url}\n`,
      };
      const archive = await cloud.put('archives/interrupted.tar.gz', await tarGz(files));
      const arn = await cloud.start({ archive, project: 'interrupted', instance: cloud.instanceId });
      await waitFor(async () => requests > 0 || null, 60);
      isOpen = true;
      const identity = JSON.parse(cloud.jobFile(arn.split(':').at(-1) ?? '', 'install', 'identity.json'));
      for (const pid of [identity.supervisor.pid, identity.pid]) killQuietly(pid);
      const ended = await cloud.finished(arn);
      expect(ended).toMatchObject({ status: 'SUCCEEDED', output: { outcome: 'succeeded', warnings: [] } });
      expect(ended.states.filter((name) => name === 'Install requirements')).toHaveLength(2);
      expect(await cloud.log(ended.id, 'train')).toBe('42\n');
      const log = await cloud.log(ended.id, 'install');
      expect(log).toBe(cloud.jobFile(ended.id, 'install', 'log'));
      expect(log).toContain('[runctl] the job was interrupted, by a reboot for example; it is started again\n');
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});
