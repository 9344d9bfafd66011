import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { PassThrough } from 'node:stream';
import type { EC2Client } from '@aws-sdk/client-ec2';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parse as parseYaml } from 'yaml';
import type { Account } from '../../../cli/account/account.ts';
import { initProject } from '../../../cli/init/init.ts';
import { Terminal } from '../../../cli/terminal/terminal.ts';
import { parseSpecFile } from '../../../core/spec/archive-spec.ts';
import { ENTRY_KEYS } from '../../../core/spec/entry.ts';
import { specSchema } from '../../../core/spec/spec.ts';
import { awsError, fakeClient } from '../../support/fakes/sdk-client.ts';

describe('runctl init', () => {
  let folder: string;
  beforeEach(() => {
    folder = join(mkdtempSync(join(tmpdir(), 'runctl init ')), 'My Nets');
    mkdirSync(folder);
  });
  afterEach(() => rmSync(dirname(folder), { recursive: true }));

  const put = (name: string, text = '') => {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  };
  const read = (name: string) => readFileSync(join(folder, name), 'utf8');
  async function init(force = false, instances: object[] | Error = []): Promise<string> {
    const out = new PassThrough() as unknown as NodeJS.WriteStream;
    const terminal = new Terminal({ out, err: out, in: process.stdin, env: {} });
    const { client: ec2 } = fakeClient<EC2Client>({
      DescribeInstancesCommand: () =>
        instances instanceof Error ? instances : { Reservations: [{ Instances: instances }] },
    });
    await initProject({ folder, terminal, account: { ec2 } as Account }, { force });
    return read('runctl.yaml');
  }

  it('writes what it found, and every other key of the spec as a comment that is valid once uncommented', async () => {
    put('train.py');
    put('requirements.txt');
    const text = await init();
    expect(parseSpecFile(text)).toEqual({ project: 'my-nets', script: 'train.py', environment: 'project' });
    const uncommented = text.replace(/^# (\w+: .*)$/gm, '$1');
    const keys = Object.keys(specSchema.shape).filter(
      (key) => !['archive', 'sha256', 'patch', 'sent', 'startedBy'].includes(key),
    );
    expect(Object.keys(parseYaml(uncommented) as object).sort()).toEqual(keys.sort());
    // A run starts one of the three.
    for (const entry of ENTRY_KEYS) {
      const others = ENTRY_KEYS.filter((key) => key !== entry).join('|');
      const kept = Object.keys(parseSpecFile(uncommented.replace(new RegExp(`^(${others}): .*$`, 'gm'), '')));
      expect(kept, entry).toContain(entry);
    }
  });

  it('names the schema by a file beside it, which git and the archive leave out', async () => {
    const text = await init();
    const [, schema = ''] = /^# yaml-language-server: \$schema=(\S+)\n/.exec(text) ?? [];
    expect(read(schema)).toBe(readFileSync(new URL('../../../runctl.schema.json', import.meta.url), 'utf8'));
    expect(read('.runctl/.gitignore')).toBe('*\n');
  });

  it('takes the only script there is; of several it names them', async () => {
    put('fit.py');
    put('lib/model.py');
    expect(parseSpecFile(await init()).script).toBe('fit.py');
    put('eval.py');
    const text = await init(true);
    expect(parseSpecFile(text).script).toBeUndefined();
    expect(text).toContain('Found: "eval.py", "fit.py", "lib/model.py"\n# script: eval.py\n');
  });

  it('names the only shell script, where there is nothing in Python to run', async () => {
    put('train.sh');
    put('setup.py');
    put('lib/model.py');
    expect(parseSpecFile(await init()).script).toBe('train.sh');
    put('run.sh');
    expect(parseSpecFile(await init(true)).script).toBe('train.sh');
    put('pretrain.sh');
    const text = await init(true);
    expect(parseSpecFile(text).script).toBeUndefined();
    expect(text).toContain('Found: "lib/model.py", "pretrain.sh", "run.sh", "train.sh"\n');
    put('fit.py');
    expect(parseSpecFile(await init(true)).script).toBe('fit.py');
    rmSync(join(folder, 'fit.py'));
    rmSync(join(folder, 'pretrain.sh'));
    put('src/nets/__main__.py');
    expect(parseSpecFile(await init(true))).toMatchObject({ module: 'nets' });
  });

  it('names the only package that Python can run, when there is no script', async () => {
    put('src/nets/__main__.py');
    put('src/nets/model.py');
    expect(parseSpecFile(await init())).toEqual({ project: 'my-nets', module: 'nets', environment: 'project' });
    put('other/__main__.py');
    expect(parseSpecFile(await init(true)).module).toBeUndefined();
  });

  it('names the only instance that runctl may use, unless its tag leads to it; and does without AWS', async () => {
    const instance = (InstanceId: string, project: string) => ({
      InstanceId,
      Tags: [{ Key: 'Project', Value: project }],
    });
    const ID = 'i-0123456789abcdef0';
    expect(parseSpecFile(await init(false, [instance(ID, 'other')])).instance).toBe(ID);
    expect(parseSpecFile(await init(true, [instance(ID, 'my-nets'), instance('i-1', 'x')])).instance).toBeUndefined();
    expect(parseSpecFile(await init(true, [instance(ID, 'x'), instance('i-1', 'x')])).instance).toBeUndefined();
    expect(parseSpecFile(await init(true, awsError('CredentialsProviderError'))).instance).toBeUndefined();
  });

  it('overwrites nothing unless told', async () => {
    put('runctl.yaml', 'what: a person wrote\n');
    await expect(init()).rejects.toMatchObject({ exitCode: 2, next: expect.stringContaining('--force') });
    expect(read('runctl.yaml')).toBe('what: a person wrote\n');
    expect(await init(true)).toContain('project: my-nets');
  });
});
