import type { EndStatus, StepResult } from './executor.ts';
import { agentOutput } from './output.ts';
import type { ScriptEnd } from './script-process.ts';

/** Exit codes with a meaning for the agent. */
export const exitCodes = { successAndExit: 168, failureAndExit: 169, reboot: 194, killed: 137 };

export type Outcome = Pick<StepResult, 'status' | 'code' | 'stdout' | 'stderr'>;

/** The outcome of a step that failed before it started a process. */
export function failed(stderr: string): Outcome {
  return { status: 'Failed', code: 1, stdout: '', stderr };
}

/** Derives status and streams from the exit code. The texts are those of amazon-ssm-agent. */
export function judge(end: ScriptEnd): Outcome {
  const { code } = end;
  const status: EndStatus =
    code === 0 || code === exitCodes.successAndExit
      ? 'Success'
      : code === exitCodes.killed
        ? end.ended === 'cancel'
          ? 'Cancelled'
          : 'TimedOut'
        : 'Failed';
  let stdout = end.stdout;
  let stderr = end.stderr;
  const add = (text: string) => Buffer.from(text);
  if (status === 'Failed') {
    const reason = end.signal === null ? `exit status ${code}` : `signal: ${signalWords(end.signal)}`;
    stderr = Buffer.concat([stderr, add(`failed to run commands: ${reason}`)]);
  }
  if (code === exitCodes.successAndExit) {
    stdout = Buffer.concat([
      stdout,
      add('\nStep exited with code 168. Therefore, marking step as succeeded. Further document steps will be skipped.'),
    ]);
    stderr = Buffer.alloc(0);
  }
  if (code === exitCodes.failureAndExit) {
    const sentence = add(
      '\nStep exited with code 169. Therefore, marking step as Failed. Further document steps will be skipped.',
    );
    stdout = Buffer.concat([stdout, sentence]);
    stderr = Buffer.concat([stderr, sentence]);
  }
  return { status, code, stdout: agentOutput(stdout), stderr: agentOutput(stderr) };
}

function signalWords(signal: NodeJS.Signals): string {
  const words: Partial<Record<NodeJS.Signals, string>> = {
    SIGKILL: 'killed',
    SIGTERM: 'terminated',
    SIGSEGV: 'segmentation fault',
  };
  return words[signal] ?? signal;
}
