import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

const RUNNER = fileURLToPath(new URL('../../../instance/runner', import.meta.url));

/**
 * Runs Python code that finds the runner's packages. It has the JSON value `input` as `asked` and prints one JSON value.
 * @throws with what Python wrote when it fails
 */
export async function python<T>(code: string, input: unknown, env: Readonly<Record<string, string>> = {}): Promise<T> {
  const program = `import json, sys
sys.path.insert(0, ${JSON.stringify(RUNNER)})
asked = json.load(sys.stdin)
${code}`;
  const child = spawn('python3', ['-I', '-B', '-c', program], { env: { PATH: process.env.PATH ?? '', ...env } });
  child.stdin.end(JSON.stringify(input));
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  if (stderr !== '') throw new Error(stderr);
  return JSON.parse(stdout);
}
