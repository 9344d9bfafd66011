import { readdir, readFile } from 'node:fs/promises';

/**
 * The processes that live "on" a local instance: those that carry its id, as the agent and the supervisor hand it on,
 * or whose HOME is one of `homes` (jobs that another agent started under an id of its own). Linux.
 */
export async function instanceProcesses(instanceId: string, homes: readonly string[]): Promise<number[]> {
  const marks = [`AWS_SSM_INSTANCE_ID=${instanceId}`, ...homes.map((home) => `HOME=${home}`)];
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(
    pids.map(async (pid) => {
      if (pid === process.pid) return undefined;
      const environment = await readEnvironment(pid);
      return environment.some((entry) => marks.includes(entry)) ? pid : undefined;
    }),
  );
  return found.filter((pid) => pid !== undefined);
}

async function readEnvironment(pid: number): Promise<string[]> {
  try {
    return (await readFile(`/proc/${pid}/environ`, 'utf8')).split('\0');
  } catch {
    return []; // gone meanwhile, or another user's: in both cases not ours to end
  }
}

/** SIGKILL to all of them, again and again until none is left: a process may fork while we look. Returns how many there were. */
export async function killInstanceProcesses(instanceId: string, homes: readonly string[]): Promise<number> {
  const killed = new Set<number>();
  for (let round = 0; round < 50; round += 1) {
    const pids = await instanceProcesses(instanceId, homes);
    if (pids.length === 0) break;
    for (const pid of pids) {
      killed.add(pid);
      try {
        process.kill(pid, 'SIGKILL');
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 20)); // they need a moment to leave /proc
  }
  return killed.size;
}
