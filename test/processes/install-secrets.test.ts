import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { type InstallRun, useInstallSetup } from '../support/instance/install-setup.ts';
import { buildBrokenSdist, buildWheel } from '../support/instance/wheels.ts';

const installSetup = useInstallSetup();
const RUNNER = fileURLToPath(new URL('../../instance/runner', import.meta.url));

/** install.redact.Redactor, over some lines. */
function redact(lines: readonly string[], env: Readonly<Record<string, string>> = {}): string[] {
  const code = `import json, sys
sys.path.insert(0, sys.argv[1])
from install.redact import Redactor
asked = json.loads(sys.stdin.read())
print(json.dumps([Redactor(asked["env"])(line) for line in asked["lines"]]))`;
  const done = spawnSync('python3', ['-I', '-B', '-c', code, RUNNER], {
    input: JSON.stringify({ env, lines }),
    encoding: 'utf8',
  });
  return JSON.parse(done.stdout);
}

describe('the redactor', () => {
  it.each([
    ['https://aws:s3cr3t@host/simple/', 'https://***@host/simple/'],
    ['see https://t0ken@host:8443/a, or', 'see https://***@host:8443/a, or'],
    ['git+https://t0ken@github.com/a/b@main#egg=b', 'git+https://***@github.com/a/b@main#egg=b'],
    ['git+ssh://git@github.com/a/b', 'git+ssh://git@github.com/a/b'],
    ['"https://h/x.whl?X-Amz-Signature=abc&b=c#sha256=12"', '"https://h/x.whl?***#sha256=12"'],
    ['https://user:pass/w#rd@host/simple', 'https://***@host/simple'],
    ['https://host:8080/a/b@v1', 'https://host:8080/a/b@v1'],
    ['https://host/@scope/pkg', 'https://host/@scope/pkg'],
    ['a@b.c, 3 packages, no URL', 'a@b.c, 3 packages, no URL'],
    ['+ lib @ file:///home/me/lib', '+ lib @ file:///home/me/lib'],
  ])('%s', (line, clean) => {
    expect(redact([line])).toEqual([clean]);
  });

  it('knows a secret again that comes alone, decoded or not', () => {
    const env = {
      PIP_INDEX_URL: 'https://aws:p%40ss-word@host/simple',
      UV_INDEX_MINE_PASSWORD: 'hunter22',
      PIP_PRE: 'yes',
    };
    expect(redact(['401 for p%40ss-word', 'p@ss-word!', 'hunter22', 'yes, aws'], env)).toEqual([
      '401 for ***',
      '***!',
      '***',
      'yes, aws',
    ]);
  });
});

const everything = (run: InstallRun) => JSON.stringify([run.log, run.progress, run.result]);

describe('a private index', () => {
  const credentials = { user: 'someone', password: 'v3ry-s3cr3t-t0ken' };

  it.each([
    ['PIP_INDEX_URL', 'auto', 'env'],
    ['PIP_EXTRA_INDEX_URL', 'uv', 'env'],
    ['UV_DEFAULT_INDEX', 'uv', 'env'],
    ['PIP_INDEX_URL', 'pip', 'env'],
    ['PIP_INDEX_URL', 'uv', 'secrets'],
    ['PIP_INDEX_URL', 'pip', 'secrets'],
  ] as const)(
    'is reached by %s with its credentials, which nobody reads: %s, in %s',
    async (name, installer, where) => {
      const setup = installSetup();
      setup.useUv();
      const index = await setup.serve([buildWheel({ name: 'zz-private', version: '1.0' })], { credentials });
      const url = index.url.replace('//', `//${credentials.user}:${credentials.password}@`);
      setup.write('requirements.txt', 'zz-private\n');
      const empty = name === 'PIP_EXTRA_INDEX_URL' ? { PIP_INDEX_URL: 'http://127.0.0.1:9/simple' } : {};

      const run = await setup.install({
        python: setup.systemPython(),
        installer,
        index: false,
        env: where === 'env' ? { ...empty, [name]: url } : empty,
        secrets: where === 'secrets' ? { [name]: url } : {},
      });

      expect(run.result).toMatchObject({ packages: 1, installer: installer === 'pip' ? 'pip3 --user' : 'uv' });
      expect(everything(run)).not.toContain(credentials.password);
    },
  );

  it('of another secret reference is another install', async () => {
    const setup = installSetup();
    setup.useUv();
    const index = await setup.serve([buildWheel({ name: 'zz-private', version: '1.0' })], { credentials });
    const url = index.url.replace('//', `//${credentials.user}:${credentials.password}@`);
    setup.write('requirements.txt', 'zz-private\n');
    const python = setup.systemPython();
    const install = async (name: string) =>
      (await setup.install({ python, index: false, secrets: { [name]: url } })).result.cached;
    expect([await install('PIP_INDEX_URL'), await install('PIP_INDEX_URL')]).toEqual([false, true]);
    expect(await install('UV_DEFAULT_INDEX')).toBe(false);
  });

  it('in the requirements, or failing, is not read either', async () => {
    const setup = installSetup();
    setup.useUv();
    const index = await setup.serve([buildBrokenSdist({ name: 'zz-broken', version: '1.0' })], { credentials });
    const url = index.url.replace('//', `//${credentials.user}:\${ZZ_SECRET}@`);
    const direct = url.replace('/simple/', '/files/missing-1.0-py3-none-any.whl?X-Amz-Signature=0a1b2c3d4e');
    setup.write('requirements.txt', `--index-url ${url}\nzz-broken\nmissing @ ${direct}\n`);

    const run = await setup.install({
      python: setup.systemPython(),
      index: false,
      env: { ZZ_SECRET: credentials.password },
    });

    expect(run.result.error?.name).toBe('InstallFailed');
    expect(run.log).toContain('missing');
    expect(everything(run)).not.toContain(credentials.password);
    expect(everything(run)).not.toContain('0a1b2c3d4e');
  });

  it("of the instance's pip.conf is used by uv too", async () => {
    const setup = installSetup();
    setup.useUv();
    const index = await setup.serve([buildWheel({ name: 'zz-private', version: '1.0' })], { credentials });
    const url = index.url.replace('//', `//${credentials.user}:${credentials.password}@`);
    setup.write('requirements.txt', 'zz-private\n');
    setup.write('../.config/pip/pip.conf', `[global]\nindex-url = ${url}\n`);
    const run = await setup.install({ python: setup.systemPython(), index: false, installer: 'uv' });
    expect(run.result).toMatchObject({ installer: 'uv', packages: 1 });
    expect(everything(run)).not.toContain(credentials.password);
  });
});
