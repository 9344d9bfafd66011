import { join } from 'node:path';
import { messageOf } from '../cloud/errors.ts';
import { bareEnvironment, type ServiceAddresses } from './environment.ts';
import type { CommandRequest, Executor, StepResult } from './executor.ts';
import { overallStatus } from './executor.ts';
import { patternProblem } from './parameters.ts';
import { runScript, type ScriptEnd } from './script-process.ts';
import { resolveSsm } from './ssm-references.ts';
import { exitCodes, failed, judge, type Outcome } from './step-outcome.ts';
import { parameterValues, substitute, type Value } from './substitute.ts';

const defaultCwd = '/usr/bin';
// Bounds of executionTimeout, in seconds. The agent replaces other values with its default.
const timeout = { least: 5, most: 172_800, otherwise: 3_600 };
// The limit for a script that requests a reboot every time.
const mostReboots = 3;
const action = 'aws:runShellScript';

export interface ImitationOptions {
  /** Folder under which `<instance>/document/orchestration/<command>/<step>` is made. */
  readonly folder: string;
  /** Resolves `{{ssm:name}}`, which the agent does after substituting parameters. @throws if missing */
  readonly resolveSsmParameter: (name: string) => Promise<string>;
  /** Added to each command's environment, beside the variables that the genuine agent sets. */
  readonly services: ServiceAddresses;
  /** Ends everything else on the instance, as a reboot does. */
  readonly reboot: (instanceId: string) => Promise<void>;
}

/** Executes documents the way amazon-ssm-agent 3.3 does, according to recordings of it. */
export function imitation(options: ImitationOptions): Executor {
  return async (request, cancel) => {
    const problem = patternProblem(request.document, request.parameters);
    if (problem !== undefined) return refused(request);
    const values = parameterValues(request.document, request.parameters);
    const steps: StepResult[] = [];
    let skipRest = false;
    for (const step of request.document.mainSteps) {
      if (skipRest || !preconditionHolds(step.precondition, values)) continue;
      const startedAt = new Date();
      const outcome =
        step.action === action
          ? await runStep(step.name, step.inputs, values, request, cancel, options)
          : {
              status: 'Failed' as const,
              code: null,
              stdout: '',
              stderr: `Plugin with name ${step.action} not found. Step name: ${step.name}`,
            };
      steps.push({ step: step.name, action: step.action, startedAt, endedAt: new Date(), ...outcome });
      skipRest = outcome.code === exitCodes.successAndExit || outcome.code === exitCodes.failureAndExit;
    }
    return { status: overallStatus(steps), steps };
  };
}

/** The agent checks allowedPattern again. On a mismatch the document fails before any plugin runs. */
function refused(request: CommandRequest) {
  const at = new Date();
  const [first] = request.document.mainSteps;
  const step: StepResult = {
    step: first?.name ?? '',
    action: first?.action ?? action,
    status: 'Failed',
    code: null,
    stdout: '',
    stderr: '',
    startedAt: at,
    endedAt: at,
  };
  return { status: 'Failed' as const, steps: [step] };
}

function preconditionHolds(
  precondition: Record<string, string[]> | undefined,
  values: ReadonlyMap<string, Value>,
): boolean {
  const operands = precondition?.StringEquals;
  if (operands === undefined) return true;
  const [left, right] = operands.map((operand) => (operand === 'platformType' ? 'Linux' : substitute(operand, values)));
  return left === right;
}

async function runStep(
  name: string,
  rawInputs: Record<string, unknown>,
  values: ReadonlyMap<string, Value>,
  request: CommandRequest,
  cancel: AbortSignal,
  options: ImitationOptions,
): Promise<Outcome> {
  if (cancel.aborted) return { status: 'Cancelled', code: 1, stdout: '', stderr: '' };
  let inputs: Record<string, unknown>;
  try {
    inputs = (await resolveSsm(substitute(rawInputs, values), options.resolveSsmParameter)) as Record<string, unknown>;
  } catch (error) {
    return { status: 'Failed', code: null, stdout: '', stderr: messageOf(error) };
  }
  const lines = scriptLines(inputs.runCommand);
  if (lines === undefined) {
    return failed(
      `Invalid format in plugin properties ${JSON.stringify(inputs)};\nerror runCommand is not a list of strings`,
    );
  }
  const cwd =
    typeof inputs.workingDirectory === 'string' && inputs.workingDirectory.startsWith('/')
      ? inputs.workingDirectory
      : defaultCwd;
  for (let boots = 0; ; boots += 1) {
    let end: ScriptEnd;
    try {
      end = await runScript(
        {
          folder: join(options.folder, request.instanceId, 'document', 'orchestration', request.commandId, name),
          lines,
          cwd,
          env: bareEnvironment(request, options.services, inputs.environment),
          timeoutMs: executionTimeout(inputs.timeoutSeconds) * 1_000,
        },
        cancel,
      );
    } catch (error) {
      return failed(`failed to run commands: ${messageOf(error)}`);
    }
    if (end.code !== exitCodes.reboot || boots === mostReboots) return judge(end);
    await options.reboot(request.instanceId);
  }
}

function scriptLines(input: unknown): string[] | undefined {
  if (!Array.isArray(input)) return undefined;
  const lines: string[] = [];
  for (const line of input) {
    if (line === null) lines.push('');
    else if (typeof line === 'string') lines.push(line);
    else return undefined;
  }
  return lines;
}

/** Seconds. A value that is not a number or is out of bounds becomes 3,600. */
export function executionTimeout(input: unknown): number {
  const seconds =
    typeof input === 'string' && input.trim() !== ''
      ? Math.trunc(Number(input))
      : typeof input === 'number'
        ? Math.trunc(input)
        : Number.NaN;
  return seconds >= timeout.least && seconds <= timeout.most ? seconds : timeout.otherwise;
}
