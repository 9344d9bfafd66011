import { execFileSync } from 'node:child_process';
import { existsSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';

/** The folder in which a memory cgroup, v1 or v2, can be created; null if there is none. */
export function memoryCgroups(): { base: string; limit: string } | null {
  for (const [base, limit] of [
    ['/sys/fs/cgroup/memory', 'memory.limit_in_bytes'],
    ['/sys/fs/cgroup', 'memory.max'],
  ] as const) {
    const probe = join(base, `runctl-probe-${process.pid}`);
    try {
      execFileSync('mkdir', [probe], { stdio: 'ignore' });
    } catch {
      continue; // missing, or not writable
    }
    const usable = existsSync(join(probe, limit));
    rmdirSync(probe);
    if (usable) return { base, limit };
  }
  return null;
}
