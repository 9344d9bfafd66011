import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { isRoot } from './test-instance.ts';

export type ContainerKind = 'cgroup' | 'pid-namespace' | 'process-group';

/** In a separate mount namespace, a command has no systemd and, except for the first kind, no cgroup v2. */
const HIDDEN =
  'mount -t tmpfs tmpfs /run; for at in $(sed -n "s/^[^ ]* \\([^ ]*\\) cgroup2 .*/\\1/p" /proc/self/mounts); do umount -l "$at"; done; exec "$@"';
const BEFORE: Readonly<Record<ContainerKind, readonly string[]>> = {
  cgroup: [],
  'pid-namespace': ['unshare', '--mount', 'sh', '-c', HIDDEN, 'sh'],
  'process-group': ['unshare', '--mount', 'sh', '-c', HIDDEN, 'sh', 'setpriv', '--bounding-set=-sys_admin'],
};

/** The command before the runner that gives its jobs containers of that kind. */
export function insideKind(kind: ContainerKind): readonly string[] {
  return BEFORE[kind];
}

/** The kinds that this machine supports. The others are printed. */
export function containerKinds(): readonly ContainerKind[] {
  const found: ContainerKind[] = [];
  if (isRoot && cgroups() !== null) found.push('cgroup');
  if (isRoot && succeeds([...BEFORE['pid-namespace'], 'unshare', '--pid', '--fork', '--mount-proc', 'true']))
    found.push('pid-namespace');
  for (const kind of ['cgroup', 'pid-namespace'] as const)
    if (!found.includes(kind)) console.log(`skipped: containers of the kind ${kind}, which this user cannot have here`);
  return found;
}

/** The cgroup v2 folder in which this user may create cgroups that can be killed, or null. */
function cgroups(): string | null {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  const point = mounts.map((line) => line.split(' ')).find((fields) => fields[2] === 'cgroup2')?.[1];
  if (point === undefined) return null;
  const probe = join(point, `runctl-probe-${process.pid}`);
  if (!succeeds(['mkdir', probe])) return null;
  const usable = readdirSync(probe).includes('cgroup.kill');
  rmdirSync(probe);
  return usable ? point : null;
}

function succeeds(words: readonly string[]): boolean {
  try {
    execFileSync(words[0] as string, words.slice(1), { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
