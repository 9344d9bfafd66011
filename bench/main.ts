import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { fail } from '../cli/main.ts';
import { down } from '../local/down.ts';
import { statePaths } from '../local/paths.ts';
import { up } from '../local/up.ts';
import { benchArchive } from './archive.ts';
import { benchInstall } from './install.ts';
import { compare, reached, type Section, tableOf } from './report.ts';
import { benchRuns } from './run.ts';
import { benchSizes } from './sizes.ts';
import { benchWatch } from './watch.ts';

process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';

const PARTS = ['runs', 'watch', 'sizes', 'archive', 'install'] as const;
type Part = (typeof PARTS)[number];
const IN_CLOUD: readonly Part[] = ['runs', 'watch', 'sizes'];

/** Measures in a local cloud of its own, so that a person's is left alone; all of it is gone at the end. */
async function measure(parts: readonly Part[], say: (line: string) => void, signal: AbortSignal): Promise<Section[]> {
  const paths = statePaths(join(statePaths().base, 'bench'));
  const work = join(paths.base, 'work');
  await rm(work, { recursive: true, force: true });
  await mkdir(work, { recursive: true });
  const sections: Section[] = [];
  try {
    // First what needs no cloud: nothing else may run beside what is timed.
    if (parts.includes('archive')) sections.push(...(await benchArchive(work, say, signal)));
    if (parts.includes('install')) sections.push(await benchInstall(work, say, signal));
    if (IN_CLOUD.some((part) => parts.includes(part))) {
      const { state } = await up(paths, { agentCommand: null, deploy: 'changed', signal, output: 'progress' });
      if (parts.includes('sizes')) sections.push(...(await benchSizes(paths)));
      if (parts.includes('runs')) sections.push(...(await benchRuns(state, work, say, signal)));
      if (parts.includes('watch')) sections.push(...(await benchWatch(state, work, say, signal)));
    }
    return sections;
  } finally {
    await down(paths, { purge: false });
    await rm(paths.base, { recursive: true, force: true });
  }
}

async function main(): Promise<void> {
  const command = new Command('npm run bench --')
    .description('Measures the project on this machine; a few minutes. Numbers beside each other are of the same run.')
    .option('--json <file>', 'write the numbers to a file as well')
    .option('--compare <file>', 'say how the numbers stand to those of an earlier --json')
    .option('--only <parts>', `some of ${PARTS.join(',')}`, PARTS.join(','))
    .parse();
  const { json, only, compare: earlier } = command.opts<{ json?: string; only: string; compare?: string }>();
  const before =
    earlier === undefined ? null : (JSON.parse(await readFile(earlier, 'utf8')) as { sections: Section[] });
  const asked = only.split(',');
  const unknown = asked.filter((part) => !PARTS.some((known) => known === part));
  if (unknown.length > 0) command.error(`error: --only knows ${PARTS.join(', ')}, not ${unknown.join(', ')}`);
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => controller.abort());
  const began = performance.now();
  const say = (line: string) => console.error(`[${((performance.now() - began) / 1_000).toFixed(0)} s] ${line}`);
  const parts = PARTS.filter((part) => asked.includes(part));
  const sections = await measure(parts, say, controller.signal);
  console.log('');
  for (const section of sections) console.log(tableOf(section).join('\n'));
  const missed = sections.flatMap(({ rows }) => rows).filter((row) => reached(row) === false).length;
  console.log(missed === 0 ? 'Every target is reached.' : `${missed} targets are missed.`);
  if (before) console.log([`Against ${earlier}:`, ...compare(sections, before.sections)].join('\n'));
  if (json !== undefined) await writeFile(json, `${JSON.stringify({ ...machine(), sections }, null, 2)}\n`);
}

function machine() {
  const [cpu] = cpus();
  const memoryMb = Math.round(totalmem() / 1e6);
  return {
    at: new Date().toISOString(),
    node: process.version,
    cpus: cpus().length,
    cpu: cpu?.model ?? null,
    memoryMb,
  };
}

try {
  await main();
} catch (error) {
  fail(error);
}
