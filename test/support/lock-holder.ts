import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { withLock } from '../../local/cloud/lock.ts';

// lock-holder.ts <path> hold: takes the lock, starts another process, and waits for the end of stdin.
// lock-holder.ts <path> count <file>: adds one to the number in a file while it holds the lock.
const [path = '', what, file = ''] = process.argv.slice(2);
await withLock(
  path,
  () => console.log('waiting'),
  async () => {
    if (what === 'count') {
      const count = Number(readFileSync(file, 'utf8'));
      await new Promise((resolve) => setTimeout(resolve, 20));
      writeFileSync(file, String(count + 1));
      return;
    }
    const child = spawn('sleep', ['60'], { detached: true, stdio: 'ignore' });
    child.unref();
    console.log(`locked ${child.pid}`);
    process.stdin.resume();
    await once(process.stdin, 'end');
  },
);
