import { execFileSync } from 'node:child_process';

/** Whether this machine lets a test mount a filesystem of its own. */
export function mayMount(): boolean {
  try {
    execFileSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'test', '/mnt'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
