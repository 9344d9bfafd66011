import { copyFile, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buildProgram } from '../lib/instance/program.ts';
import { exampleFolder } from '../local/demo/options.ts';
import { ensureVenv } from '../local/tools/python-tools.ts';
import { bareEnvironment, runJob, timed } from './processes.ts';
import { atMost, type Section } from './report.ts';

const UV = 'uv==0.13.9\n';
const ROUNDS = 2;
const CACHED_MS = 2_000;

/**
 * Installs the digits' requirements from the index in ways that start with nothing: each with an empty home and empty
 * caches. What the network does between two of them is in the numbers; the best of two rounds, in turns, dampens it.
 */
export async function benchInstall(work: string, say: (line: string) => void, signal: AbortSignal): Promise<Section> {
  const requirements = join(exampleFolder, 'requirements.txt');
  const uv = await fetchUv(work, say, signal);
  const installer = join(work, 'installer');
  await writeFile(installer, buildProgram().bytes);
  const best = { cold: Infinity, cached: Infinity, uv: Infinity, pip: Infinity };
  for (let round = 0; round < ROUNDS; round += 1) {
    signal.throwIfAborted();
    say(`install, round ${round + 1} of ${ROUNDS}`);
    const home = join(work, 'install-home');
    await emptyHome(home);
    await mkdir(join(home, '.local', 'bin'), { recursive: true });
    await copyFile(uv, join(home, '.local', 'bin', 'uv'));
    await mkdir(join(home, 'digits'));
    await copyFile(requirements, join(home, 'digits', 'requirements.txt'));
    const job = { requirements: 'requirements.txt', installer: 'auto', python: null, env: {} };
    const install = () => runJob(installer, 'install', { home, project: 'digits', work: job });
    best.cold = Math.min(best.cold, await install());
    best.cached = Math.min(best.cached, await install());
    best.uv = Math.min(best.uv, await plainUv(uv, requirements, home));
    best.pip = Math.min(best.pip, await plainPip(requirements, home));
    await rm(home, { recursive: true });
  }
  return {
    title: `Installing the digits' requirements (best of ${ROUNDS}, in turns, empty caches each)`,
    rows: [
      { name: 'job install, cold (uv is there)', value: best.cold, unit: 'ms', target: null },
      { name: 'uv pip install', value: best.uv, unit: 'ms', target: null },
      { name: 'pip3 install --user', value: best.pip, unit: 'ms', target: null },
      { name: 'cold beside uv', value: best.cold / best.uv, unit: 'x', target: null },
      { name: 'cold beside pip3', value: best.cold / best.pip, unit: 'x', target: null },
      { name: 'job install, unchanged requirements', value: best.cached, unit: 'ms', target: atMost(CACHED_MS) },
    ],
  };
}

async function fetchUv(work: string, say: (line: string) => void, signal: AbortSignal): Promise<string> {
  const file = join(work, 'requirements-uv.txt');
  await writeFile(file, UV);
  const venv = await ensureVenv('bench-uv', file, say, undefined, signal);
  return join(venv, 'bin', 'uv');
}

async function plainUv(uv: string, requirements: string, home: string): Promise<number> {
  await emptyHome(home);
  const prefix = join(home, '.local');
  const args = ['pip', 'install', '--quiet', '--prefix', prefix, '--python', 'python3', '-r', requirements];
  const env = {
    ...bareEnvironment,
    HOME: home,
    UV_CACHE_DIR: join(home, '.cache', 'uv'),
    UV_PYTHON_DOWNLOADS: 'never',
    UV_SYSTEM_CERTS: '1', // as our installer: a company's own authority is in the system's list
  };
  return (await timed(uv, args, { cwd: home, env })).ms;
}

async function plainPip(requirements: string, home: string): Promise<number> {
  await emptyHome(home);
  const args = ['-m', 'pip', 'install', '--quiet', '--user', '--no-input', '-r', requirements];
  const env = { ...bareEnvironment, HOME: home, PIP_BREAK_SYSTEM_PACKAGES: '1', PIP_DISABLE_PIP_VERSION_CHECK: '1' };
  return (await timed('python3', args, { cwd: home, env })).ms;
}

async function emptyHome(home: string): Promise<void> {
  await rm(home, { recursive: true, force: true });
  await mkdir(home, { recursive: true });
}
