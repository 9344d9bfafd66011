import { spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { messageOf } from '../cloud/errors.ts';
import { signalQuietly } from '../cloud/processes.ts';
import { bareEnvironment, type ServiceAddresses } from './environment.ts';
import {
  type CommandRequest,
  type ExecutionResult,
  type Executor,
  overallStatus,
  type StepResult,
} from './executor.ts';

const answer = z.object({
  status: z.enum(['Success', 'Failed', 'TimedOut', 'Cancelled']),
  code: z.number().int().nullable(),
  stdout: z.string(),
  stderr: z.string(),
});

/**
 * Runs a program for each command. Its two arguments are files: the document as JSON, and the
 * parameters that SendCommand received. It prints one JSON object `{status, code, stdout, stderr}`.
 * Cancelling a command kills the program's process group.
 * If the program fails or prints anything else, the command is Failed, with the reason in stderr.
 */
export function programExecutor(program: string, folder: string, services: ServiceAddresses): Executor {
  return async (request, cancel) => {
    const startedAt = new Date();
    const outcome = await runCommand(program, folder, services, request, cancel);
    const [first] = request.document.mainSteps;
    const step: StepResult = {
      step: first?.name ?? '',
      action: first?.action ?? '',
      startedAt,
      endedAt: new Date(),
      ...outcome,
    };
    const result: ExecutionResult = { status: overallStatus([step]), steps: [step] };
    return result;
  };
}

async function runCommand(
  program: string,
  folder: string,
  services: ServiceAddresses,
  request: CommandRequest,
  cancel: AbortSignal,
) {
  const commandFolder = join(folder, request.commandId);
  const files = { document: join(commandFolder, 'document.json'), parameters: join(commandFolder, 'parameters.json') };
  try {
    await mkdir(commandFolder, { recursive: true });
    await writeFile(files.document, JSON.stringify(request.document));
    await writeFile(files.parameters, JSON.stringify(request.parameters), { mode: 0o600 });
    const { code, stdout, stderr } = await run(
      program,
      [files.document, files.parameters],
      bareEnvironment(request, services),
      cancel,
    );
    if (cancel.aborted) return { status: 'Cancelled' as const, code: 137, stdout: '', stderr: '' };
    if (code !== 0) throw new Error(`it exited with ${code}: ${stderr.slice(-500)}`);
    return answer.parse(JSON.parse(stdout));
  } catch (error) {
    return {
      status: 'Failed' as const,
      code: null,
      stdout: '',
      stderr: `The agent command ${program} failed: ${messageOf(error)}`,
    };
  }
}

async function run(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  cancel: AbortSignal,
) {
  const child = spawn(program, args, {
    // The ids identify the command to the program, and its processes to `runctl local down`.
    env: { ...env, PATH: process.env.PATH ?? '' },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const onCancel = () => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
      signalQuietly(-child.pid, 'SIGKILL');
  };
  cancel.addEventListener('abort', onCancel, { once: true });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    return { code, stdout, stderr };
  } finally {
    cancel.removeEventListener('abort', onCancel);
  }
}
