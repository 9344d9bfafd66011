import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';

export interface Ended {
  readonly ms: number;
  readonly stdout: string;
}

/** Runs a program to its end and measures the time. @throws with its output unless it exits with 0 */
export async function timed(
  program: string,
  args: readonly string[],
  options: { cwd?: string; env?: Readonly<Record<string, string>>; input?: string } = {},
): Promise<Ended> {
  const began = performance.now();
  const child = spawn(program, args, {
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: { ...(options.env ?? process.env) },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  child.stdin.on('error', () => undefined); // the program may end before it has read all input
  child.stdin.end(options.input ?? '');
  const code = new Promise<number | null>((resolve, reject) => child.once('close', resolve).once('error', reject));
  const [stdout, stderr, exit] = await Promise.all([text(child.stdout), text(child.stderr), code]);
  const ms = performance.now() - began;
  if (exit !== 0) throw new Error(`${program} ${args.slice(0, 4).join(' ')} … ended with ${exit}:\n${stdout}${stderr}`);
  return { ms, stdout };
}

/** The fastest of several rounds. Each round runs every candidate, so that other load affects all of them. */
export async function bestOf<Name extends string>(
  rounds: number,
  candidates: Readonly<Record<Name, () => Promise<number>>>,
): Promise<Record<Name, number>> {
  const names = Object.keys(candidates) as Name[];
  const best = Object.fromEntries(names.map((name) => [name, Number.POSITIVE_INFINITY])) as Record<Name, number>;
  for (let round = 0; round < rounds; round += 1) {
    for (const name of names) best[name] = Math.min(best[name], await candidates[name]());
  }
  return best;
}

/** The environment of a job on an instance: no HOME, as from the SSM agent. */
export const bareEnvironment = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin', LANG: 'C.UTF-8' } as const;

/** Runs the job `sync` or `install` as the supervisor starts it. @returns its time in ms, measured from outside. */
export async function runJob(
  program: string,
  job: 'sync' | 'install',
  { home, project, work }: { home: string; project: string; work: object },
): Promise<number> {
  const run = { id: 'bench', key: 'bench-0', arn: 'arn' };
  const input = JSON.stringify({ run, project, home, root: '/nowhere', [job]: work });
  // /bin/sh opens the descriptor for the progress, which is not read here.
  const command = ['-c', 'exec python3 -I -B "$0" child "$1" 3>/dev/null', program, job];
  const { ms } = await timed('/bin/sh', command, {
    cwd: home,
    env: { ...bareEnvironment, RUNCTL_PROGRESS_FD: '3' },
    input,
  });
  return ms;
}
