import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CloudFormationClient, GetTemplateCommand } from '@aws-sdk/client-cloudformation';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { VERSION } from '../../core/version.ts';
import { localSettings } from '../../local/cloud/clients.ts';
import { projectRoot, statePaths } from '../../local/cloud/paths.ts';
import { readState } from '../../local/cloud/state.ts';
import { outputOf } from '../support/outputs.ts';

const run = promisify(execFile);

// What `npm pack` makes, installed on a machine that has nothing else of runctl: an empty home, another folder.
describe('the package', () => {
  let base: string;
  let app: string;
  let project: string;
  let env: Record<string, string>;
  beforeAll(async () => {
    base = `${inject('cloudFolder')}-package`;
    app = join(base, 'app');
    project = join(base, 'my project');
    const home = join(base, 'home');
    for (const folder of [home, project]) mkdirSync(folder, { recursive: true });
    await run('npm', ['pack', '--pack-destination', base], { cwd: projectRoot });
    const archive = join(base, `runctl-${VERSION}.tgz`);
    // The caches of npm and pip, and npm's certificates and registry, are this machine's: the network is not what is tested.
    const machine = ['cache', 'globalconfig', 'userconfig'];
    const config = async (key: string) => [`--${key}`, (await run('npm', ['config', 'get', key])).stdout.trim()];
    const own = (await Promise.all(machine.map(config))).flat();
    const install = ['install', '--global', '--prefix', app, '--prefer-offline', ...own, archive];
    const { PATH = '' } = process.env;
    await run('npm', install, { cwd: project, env: { PATH, HOME: home } });
    const pipCache = process.env.PIP_CACHE_DIR ?? join(statePaths().cache, 'pip');
    env = { PATH: `${join(app, 'bin')}:${PATH}`, HOME: home, PIP_CACHE_DIR: pipCache };
  });
  afterAll(async () => {
    await runctl('local', 'down').catch(() => undefined); // when the package could not even be installed
    rmSync(base, { recursive: true, force: true });
  });

  const runctl = async (...args: string[]) => (await run('runctl', args, { cwd: project, env })).stdout;
  const installed = () => join(app, 'lib', 'node_modules', 'runctl');

  function filesOf(folder: string): [string, number][] {
    const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
    return names.map((name) => [name, statSync(join(folder, name)).mtimeMs]);
  }

  it('has all that it needs in itself, but for the CDK CLI', async () => {
    expect(await runctl('--version')).toBe(`${VERSION}\n`);
    expect(readdirSync(join(installed(), 'node_modules'))).toEqual(expect.arrayContaining(['aws-cdk']));
    const { dependencies } = JSON.parse(readFileSync(join(installed(), 'package.json'), 'utf8'));
    expect(Object.keys(dependencies)).toEqual(['aws-cdk']);
    for (const [name] of filesOf(join(installed(), 'dist'))) {
      const file = join(installed(), 'dist', name);
      if (statSync(file).isFile())
        expect(readFileSync(file, 'utf8').includes(projectRoot), `${name} names the checkout`).toBe(false);
    }
  });

  it('trains in a local cloud, deploys into it, and writes to the folders of its user alone', async () => {
    const before = filesOf(installed());
    writeFileSync(
      join(project, 'train.py'),
      'import os\nos.makedirs("outputs", exist_ok=True)\nopen("outputs/model.txt", "w").write("weights")\nprint("trained")\n',
    );
    expect(await runctl('local', 'up')).toContain('Stack deployed');
    Object.assign(env, outputOf('local env', await runctl('local', 'env', '--json')));
    expect(outputOf('local status', await runctl('local', 'status', '--json'))).toMatchObject({
      up: true,
      version: VERSION,
    });

    await runctl('init');
    expect(await runctl('run', '--yes')).toMatch(/outcome +succeeded/);
    expect(outputOf('list', await runctl('list', '--json'))).toMatchObject([{ outcome: 'succeeded' }]);
    const folder = (await runctl('pull')).trim();
    expect(readFileSync(join(project, folder, 'outputs', 'model.txt'), 'utf8')).toBe('weights');

    expect(await pageOf(spawn('runctl', ['ui', '--json'], { cwd: project, env }))).toContain('<title>runctl</title>');

    writeFileSync(join(project, 'cdk.json'), JSON.stringify({ context: { 'runctl:waitingMinutes': 44, mine: true } }));
    await runctl('deploy', '--yes', '--context', 'local=true', '--context', 'runctl:silentMinutes=77');
    const template = await deployedTemplate();
    expect(template).toContain('for 77 minutes');
    expect(template).toContain(String(44 * 60));

    await runctl('local', 'down', '--purge');
    expect(filesOf(installed())).toEqual(before);
    for (const name of ['.local/state/runctl', '.cdk', '.runctl'])
      expect(existsSync(join(env.HOME ?? '', name)), name).toBe(false);
    // What Node.js has compiled of the command is not of the cloud, and so not removed with it.
    expect(readdirSync(join(env.HOME ?? '', '.cache', 'runctl'))).toEqual(['compiled']);
  });

  it('refuses a setting that it does not know before anything is deployed', async () => {
    await expect(runctl('deploy', '--yes', '-c', 'silentMinuts=5')).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/runctl:silentMinuts/),
    });
  });

  /** The page that the command serves, which then ends. */
  async function pageOf(ui: ChildProcess): Promise<string> {
    let printed = '';
    for await (const chunk of ui.stdout ?? []) {
      printed += chunk;
      if (printed.includes('}')) break;
    }
    const { url } = outputOf('ui', printed);
    const page = await (await fetch(url)).text();
    const style = await fetch(new URL('/style.css', url), { headers: { 'sec-fetch-site': 'same-origin' } });
    expect(style.status).toBe(200);
    ui.kill('SIGINT');
    expect(await once(ui, 'exit')).toEqual([0, null]);
    return page;
  }

  async function deployedTemplate(): Promise<string> {
    const state = await readState(statePaths(join(env.HOME ?? '', '.local', 'state', 'runctl')));
    if (!state) throw new Error('the local cloud has no state');
    const client = new CloudFormationClient(localSettings(state));
    const { TemplateBody = '' } = await client.send(new GetTemplateCommand({ StackName: 'runctl' }));
    client.destroy();
    return TemplateBody;
  }
});
