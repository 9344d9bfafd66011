import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseDocumentContent } from '../../../local/agent/document-content.ts';
import type { ExecutionResult } from '../../../local/agent/executor.ts';
import { executionTimeout, imitation } from '../../../local/agent/imitation.ts';
import { killInstanceProcesses } from '../../../local/cloud/instance-processes.ts';
import { anInstanceId, until } from '../../support/agent/agent-process.ts';

const instanceId = anInstanceId();

describe('what the imitated agent does beyond the recorded cases', () => {
  let folder: string;
  let reboots: number;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'runctl-imitation-'));
    reboots = 0;
  });
  afterEach(async () => {
    await killInstanceProcesses(instanceId);
    await rm(folder, { recursive: true, force: true });
  });

  async function execute(
    steps: Record<string, unknown>[],
    parameters: Record<string, string[]> = {},
    definitions: Record<string, object> = {},
  ): Promise<ExecutionResult> {
    const run = imitation({
      folder,
      services: { AWS_ENDPOINT_URL: 'http://127.0.0.1:1' },
      resolveSsmParameter: async (name) => `value of ${name}`,
      reboot: async () => {
        reboots += 1;
      },
    });
    const mainSteps = steps.map((step, index) => ({ action: 'aws:runShellScript', name: `step${index}`, ...step }));
    const document = parseDocumentContent(
      JSON.stringify({ schemaVersion: '2.2', parameters: definitions, mainSteps }),
      'JSON',
    );
    const commandId = '11111111-2222-3333-4444-555555555555';
    return await run(
      { commandId, instanceId, region: 'us-east-1', document, parameters, variables: {} },
      new AbortController().signal,
    );
  }

  async function stdoutOf(
    runCommand: unknown,
    parameters: Record<string, string[]> = {},
    definitions: Record<string, object> = {},
  ): Promise<string> {
    const result = await execute([{ inputs: { runCommand } }], parameters, definitions);
    return result.steps[0]?.stdout ?? '';
  }

  const text = { Text: { type: 'String' } };

  it('fails a value against its pattern before anything runs: no code, no output', async () => {
    const result = await execute(
      [{ inputs: { runCommand: ['echo ran'] } }],
      { Text: ['$(id)'] },
      { Text: { type: 'String', allowedPattern: '^[a-z]*$' } },
    );
    expect(result.steps[0]).toMatchObject({ status: 'Failed', code: null, stdout: '', stderr: '' });
  });

  it('cuts stderr at 24,000 bytes as it does stdout', async () => {
    const result = await execute([{ inputs: { runCommand: ["head -c 24001 /dev/zero | tr '\\0' e >&2"] } }]);
    expect(result.steps[0]?.stderr).toBe(`${'e'.repeat(23_980)}--output truncated--`);
  });

  it('makes one U+FFFD of every byte that is no UTF-8', async () => {
    expect(await stdoutOf(["printf '\\342\\202x\\377'"])).toBe('\uFFFD\uFFFDx\uFFFD');
    // Overlong, a surrogate, beyond the last character; then good ones of each width.
    const bad =
      "printf '\\340\\200\\200|\\355\\240\\200|\\364\\220\\200\\200|\\303\\251\\342\\202\\254\\360\\237\\230\\200'";
    expect(await stdoutOf([bad])).toBe(`${'\uFFFD'.repeat(3)}|${'\uFFFD'.repeat(3)}|${'\uFFFD'.repeat(4)}|é€😀`);
  });

  it("gives the script the addresses of the cloud's services, whatever the document says", async () => {
    const inputs = { runCommand: ['echo "$AWS_ENDPOINT_URL"'], environment: { AWS_ENDPOINT_URL: 'http://evil' } };
    expect((await execute([{ inputs }])).steps[0]?.stdout).toBe('http://127.0.0.1:1\n');
  });

  it('gives the script pipes, which it can open again', async () => {
    expect(await stdoutOf(['echo through > /dev/stdout'])).toBe('through\n');
  });

  it('expands the dollars of a value inside a line as its regular expressions do', async () => {
    expect(await stdoutOf(["printf '%s' 'a{{ Text }}z'"], { Text: ['$1|$name|$$|$(id)|$'] }, text)).toBe(
      'a||$|$(id)|$z',
    );
  });

  it('leaves a value alone that is a whole element', async () => {
    const marker = await stdoutOf(['{{ Text }}'], { Text: ['test "$$" -gt 1 && echo expanded by the shell'] }, text);
    expect(marker).toBe('expanded by the shell\n');
  });

  it('knows no parameter with an underscore in its name, and none that is missing', async () => {
    const definitions = { a_b: { type: 'String' }, Gone: { type: 'String' } };
    expect(await stdoutOf(["echo '{{ a_b }} {{ Gone }} {{ undeclared }}'"], { a_b: ['x'] }, definitions)).toBe(
      'null null {{ undeclared }}\n',
    );
  });

  it('looks up {{ssm:name}} even inside a value', async () => {
    expect(await stdoutOf(["echo '{{ Text }}'"], { Text: ['{{ssm:/x}}'] }, text)).toBe('value of /x\n');
  });

  it('takes a StringList for the whole script', async () => {
    expect(await stdoutOf('{{ Lines }}', { Lines: ['echo a', 'echo b'] }, { Lines: { type: 'StringList' } })).toBe(
      'a\nb\n',
    );
  });

  it('wants a list of strings', async () => {
    const result = await execute([{ inputs: { runCommand: 'echo no' } }]);
    expect(result.steps[0]).toMatchObject({ status: 'Failed', code: 1, stdout: '' });
  });

  it('runs the second step though the first failed, and the document is Failed', async () => {
    const result = await execute([{ inputs: { runCommand: ['exit 3'] } }, { inputs: { runCommand: ['echo second'] } }]);
    expect(result.status).toBe('Failed');
    expect(result.steps.map((step) => [step.status, step.stdout])).toEqual([
      ['Failed', ''],
      ['Success', 'second\n'],
    ]);
  });

  it('skips what follows an exit with 168', async () => {
    const result = await execute([
      { inputs: { runCommand: ['exit 168'] } },
      { inputs: { runCommand: ['echo second'] } },
    ]);
    expect(result.steps).toHaveLength(1);
    expect(result.status).toBe('Success');
  });

  it('reboots at 194 and runs the script again', async () => {
    const marker = join(folder, 'rebooted');
    expect(await stdoutOf([`if [ -e ${marker} ]; then echo again; else : > ${marker}; exit 194; fi`])).toBe('again\n');
    expect(reboots).toBe(1);
  });

  it('fails in a working directory that is not there', async () => {
    const result = await execute([{ inputs: { runCommand: ['pwd'], workingDirectory: '/not/there' } }]);
    expect(result.steps[0]).toMatchObject({
      status: 'Failed',
      code: 1,
      stderr: 'failed to run commands: chdir /not/there: no such file or directory',
    });
  });

  it('skips a step for another platform', async () => {
    const precondition = { StringEquals: ['platformType', 'Windows'] };
    const result = await execute([{ precondition, inputs: { runCommand: ['echo no'] } }]);
    expect(result).toMatchObject({ status: 'Success', steps: [] });
  });

  it.each(['>/dev/null', '2>/dev/null'])('waits for a child of which only %s is redirected', async (redirection) => {
    const marker = join(folder, 'child-ended');
    const child = `setsid sh -c 'sleep 0.5; : > ${marker}' </dev/null ${redirection} &`;
    expect(await stdoutOf([child, 'echo parent done'])).toBe('parent done\n');
    expect(existsSync(marker)).toBe(true);
  });

  it('lets a redirected child live after a normal end, and takes it along at a time-out unless it has its own session', async () => {
    const file = (name: string) => join(folder, name);
    const child = (name: string) => `sh -c 'echo $$ > ${file(name)}; exec sleep 600' >/dev/null 2>&1 </dev/null &`;
    await execute([{ inputs: { runCommand: [child('survivor'), `while [ ! -s ${file('survivor')} ]; do :; done`] } }]);
    await execute([
      {
        inputs: { timeoutSeconds: '5', runCommand: [child('victim'), `setsid ${child('escaped')}`, 'sleep 60'] },
      },
    ]);
    const alive = async (name: string) => isRunning(await pidIn(file(name)));
    await until('the victim has ended', async () => !(await alive('victim')));
    expect([await alive('survivor'), await alive('escaped')]).toEqual([true, true]);
  });

  it.each([
    ['4', 3_600],
    ['5', 5],
    ['5.9', 5],
    ['172800', 172_800],
    ['172801', 3_600],
    ['soon', 3_600],
    ['', 3_600],
    [undefined, 3_600],
    [60, 60],
  ])('takes executionTimeout %j as %i seconds', (input, seconds) => {
    expect(executionTimeout(input)).toBe(seconds);
  });

  it('writes the script with mode 0700 where the real one lies', async () => {
    const place = await stdoutOf(['stat -c "%a %n" "$0"']);
    expect(place).toBe(
      `700 ${folder}/${instanceId}/document/orchestration/11111111-2222-3333-4444-555555555555/step0/_script.sh\n`,
    );
    expect(existsSync(place.slice(4).trim())).toBe(true);
  });
});

async function pidIn(file: string): Promise<number> {
  return Number(await readFile(file, 'utf8'));
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
