import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CommanderError } from 'commander';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';
import { markName } from '../../local/cloud/environment.ts';
import { projectRoot, statePaths } from '../../local/cloud/paths.ts';
import { markedProcesses } from '../../local/cloud/processes.ts';
import { down } from '../../local/commands/down.ts';
import { type DemoOptions, parseDemoOptions } from '../../local/demo/options.ts';
import { checkFolder } from '../../local/demo/run.ts';
import { Cloud } from '../support/cloud/cloud.ts';
import { waitFor } from '../support/instance/processes.ts';

const demo = fileURLToPath(new URL('../../local/demo/main.ts', import.meta.url));

const LONG = `
import sys, time
print("pid ready, accuracy=0.1", flush=True)
time.sleep(600)
`;

describe('the demo', () => {
  let folder: string;
  beforeEach(() => {
    const base = mkdtempSync(join(tmpdir(), 'runctl demo '));
    // Another folder with the name of this one would be another source of the same project.
    folder = join(base, `my project ${basename(base).slice(-6)}`);
    mkdirSync(folder);
  });
  afterEach(() => rmSync(join(folder, '..'), { recursive: true, force: true }));

  function start(args: readonly string[], env: Record<string, string> = {}) {
    const child = spawn(process.execPath, ['--import', 'tsx', demo, ...args], {
      cwd: projectRoot,
      env: { ...process.env, AWS_PROFILE: 'mine', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const output = { text: '', stderr: '' };
    child.stdout.on('data', (text) => {
      output.text += text;
    });
    child.stderr.on('data', (text) => {
      output.stderr += text;
    });
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    return { child, output, ended };
  }

  async function run(...args: string[]) {
    const { output, ended } = start(args);
    return { code: await ended, ...output };
  }

  function optionsOf(...argv: string[]): DemoOptions {
    const options = parseDemoOptions(argv);
    if (options === null) throw new Error('help was asked for');
    return options;
  }

  const shared = () => ['--state', inject('cloudFolder')];

  describe('in a cloud that a person brought up', () => {
    it("trains a person's own folder, with a script and its arguments, and leaves the cloud up", async () => {
      writeFileSync(
        join(folder, 'x.py'),
        'import sys\nprint("got", sys.argv[1:])\nprint("Accuracy: 0.5")\nprint("last accuracy 0.75")\nprint("bye")\n',
      );
      const { code, text } = await run(folder, '--script', 'x.py', ...shared(), '--', '--epochs', '3', "it's $(id) é");
      expect(text).toContain(`train   | got ['--epochs', '3', "it's $(id) é"]\n`);
      expect(text).toMatch(/accuracy +last accuracy 0\.75\n/);
      expect(text).toMatch(/outcome +succeeded\n/);
      expect(text).toMatch(/PID +\d+\n/);
      expect(code).toBe(0);
      const phases = [...text.matchAll(/^ +\d+\.\d s ([a-z-]+) +(?:[A-Z]\w+ )+?\w+$/gm)].map(([, phase]) => phase);
      // The script may have ended before its PID was confirmed: then it is not seen to train.
      const sure = phases.filter((phase) => phase !== 'training');
      expect(sure).toEqual(['verifying', 'finding-instance', 'syncing', 'launching', 'saving']);
      for (const state of ['Verify archive', 'Find instance', 'Sync code', 'Start training', 'Confirm PID'])
        expect(text).toMatch(new RegExp(`^  (states|      ) +${state} +\\d`, 'm'));
      expect(text).not.toContain('arn:aws');
      // At the end stands what to type next.
      const runId = /starts the run (\S+)/.exec(text)?.[1] ?? '';
      const [shell, log, stop] = text.trimEnd().split('\n').slice(-3);
      expect(shell).toBe(`  Open a shell that uses it:  runctl local shell --state ${inject('cloudFolder')}`);
      expect(log).toBe(`  In that shell, read logs:   runctl logs ${runId}`);
      expect(stop).toBe(`  Stop it:                    runctl local down --state ${inject('cloudFolder')}`);
      expect(text, 'colour is for terminals').not.toContain('\x1b[');
      expect(existsSync(statePaths(inject('cloudFolder')).stateFile)).toBe(true);
    });

    it('says why a run failed, with its last lines, and exits 1', async () => {
      writeFileSync(join(folder, 'train.py'), 'import sys\nprint("loading")\nsys.exit("no data at /data")\n');
      const { code, text } = await run(folder, ...shared());
      expect(text).toMatch(/error +TrainingFailed\n/);
      expect(text).toMatch(/exit code +1\n/);
      expect(text).toMatch(/next step +\S/);
      expect(text).toMatch(/last lines +loading\n +no data at \/data\n/);
      expect(code).toBe(1);
    });

    it('ends the run and what it started when it is interrupted, and leaves the cloud', async () => {
      writeFileSync(join(folder, 'train.py'), LONG);
      const { child, output, ended } = start([folder, ...shared()]);
      await waitFor(() => (output.text.includes('train   | pid ready') ? true : null), 200);
      const runId = /starts the run (\S+)/.exec(output.text)?.[1] ?? '';
      expect(await markedProcesses((entry) => entry === `RUNCTL_RUN_ID=${runId}`)).not.toEqual([]);
      child.kill('SIGINT');
      child.kill('SIGINT'); // somebody is impatient
      expect(await ended).toBe(130);
      expect(await markedProcesses((entry) => entry === `RUNCTL_RUN_ID=${runId}`)).toEqual([]);
      const cloud = await Cloud.connect();
      const arn = (await cloud.executions()).find((one) => one.endsWith(`:${runId}`)) ?? '';
      expect(await cloud.finished(arn)).toMatchObject({ status: 'ABORTED', error: 'RunStopped' });
    });
  });

  describe('with a cloud of its own', () => {
    it('leaves nothing running and nothing behind when it is interrupted, and when nobody reads', async () => {
      writeFileSync(join(folder, 'train.py'), LONG);
      const base = join(folder, '..', 'state');
      const paths = statePaths(base);
      const running = () => markedProcesses((entry) => entry === `${markName}=${paths.local}`);
      try {
        const first = start([folder, '--keep', '--state', base]);
        await waitFor(() => (first.output.text.includes('MiniStack at') ? true : null), 200);
        expect(await running()).not.toEqual([]);
        first.child.kill('SIGINT');
        expect(await first.ended).toBe(130);
        expect(await running()).toEqual([]);
        expect(existsSync(paths.local)).toBe(false);

        const second = start([folder, '--keep', '--state', base]);
        await waitFor(() => (second.output.text.includes('starts the run') ? true : null), 200);
        second.child.stdout.destroy(); // `npm run demo | head`
        expect(await second.ended).not.toBe(0);
        expect(await running()).toEqual([]);
        expect(existsSync(paths.local)).toBe(false);
      } finally {
        await down(paths, { purge: false });
      }
    });
  });

  describe('before anything is started', () => {
    it('refuses a folder or a script that is not there, and unknown options', async () => {
      const absent = await run(join(folder, 'no'), ...shared());
      expect(absent).toMatchObject({ code: 1, text: '' });
      expect(absent.stderr).toContain('is not a folder');
      await expect(checkFolder(optionsOf(folder, '--script', 'y.py'))).rejects.toThrow('has no file y.py');
      expect(() => parseDemoOptions(['--what'])).toThrow(CommanderError);
    });
  });
});
