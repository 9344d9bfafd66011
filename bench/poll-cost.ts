import { execFileSync, spawn } from 'node:child_process';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PollRequest } from '../core/protocol/messages.ts';
import { LONGEST_WAIT } from '../core/workflow/poll-timing.ts';
import { documentOf } from '../lib/instance/document.ts';
import { buildProgram } from '../lib/instance/program.ts';
import { bareEnvironment, timed } from './processes.ts';

import type { Section } from './report.ts';
import { POLL_SECONDS } from './watch-cost.ts';

const POLLS = 40;
/** The agent keeps its orchestration folders for this time. */
const KEPT_DAYS = 14;
const PACE = 'step 1 loss=0.1\n';
/** The new log of a poll: a few lines a second for 20 s. */
const NEW_LOG = PACE.repeat(100);

/** Runs the script this many times and prints the CPU time of all its processes. */
const MEASURE = `import resource, subprocess, sys
for _ in range(int(sys.argv[2])):
    subprocess.run(["sh", "-c", sys.argv[1]], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
`;

interface Document {
  readonly mainSteps: readonly { readonly inputs: { readonly runCommand: readonly string[] } }[];
}

/** Measures what a poll of a running job costs the instance: CPU time of the runner, and disk space of the agent. */
export async function benchPoll(work: string, say: (line: string) => void): Promise<Section> {
  say(`${POLLS} polls on the instance`);
  const root = join(work, 'poll-root');
  const program = buildProgram();
  await mkdir(join(root, 'programs'), { recursive: true });
  await writeFile(join(root, 'programs', program.sha256), program.bytes);
  const run = {
    id: 'bench',
    key: 'bench-0',
    arn: 'arn:aws:states:eu-central-1:111122223333:execution:runctl-run:bench',
  };
  const folder = join(root, 'runs', run.key, 'train');
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'log'), PACE.repeat(100_000) + NEW_LOG);
  const job = spawn('sleep', ['600'], { stdio: 'ignore' });
  try {
    await writeFile(join(folder, 'identity.json'), JSON.stringify(await identityOf(job.pid ?? 0)));
    const request: PollRequest = {
      protocol: 1,
      verb: 'poll',
      root,
      home: null,
      user: null,
      users: null,
      projects: null,
      run,
      project: 'bench',
      job: 'train',
      offset: PACE.length * 100_000,
      maxBytes: 1_000_000,
    };
    const data = Buffer.from(JSON.stringify(request)).toString('base64');
    const { mainSteps } = documentOf(program.sha256, null) as unknown as Document;
    const script = `${(mainSteps[0]?.inputs.runCommand ?? []).join('\n').replace('{{ Request }}', data)}\n`;
    const answer = execFileSync('sh', ['-c', script], { env: bareEnvironment, encoding: 'utf8' });
    const state = (JSON.parse(answer) as { state?: string }).state;
    if (state !== 'running') throw new Error(`The polled job is not running: ${answer}`);
    const { stdout, ms } = await timed('python3', ['-c', MEASURE, script, String(POLLS)], { env: bareEnvironment });
    const [cpu = Number.NaN, rssKb = Number.NaN] = stdout.split(' ').map(Number);
    return sectionOf({ cpuMs: (cpu * 1_000) / POLLS, ms: ms / POLLS, rssKb }, await kept(work, script, answer));
  } finally {
    job.kill('SIGKILL');
  }
}

/** Field 22 of /proc/<pid>/stat and the boot id, by which the runner identifies the process. */
async function identityOf(pid: number) {
  const fields = await readFile(`/proc/${pid}/stat`, 'utf8');
  const startTime = Number(fields.slice(fields.lastIndexOf(')') + 2).split(' ')[19]);
  const bootId = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  return { pid, startTime, bootId, supervisor: null, startedAt: Date.now() / 1_000 };
}

/** The agent's folder for a command: `<command>/<step>/_script.sh`, and the output of the script. */
async function kept(work: string, script: string, answer: string) {
  const command = join(work, 'orchestration', crypto.randomUUID());
  const step = join(command, 'run');
  await mkdir(step, { recursive: true });
  await writeFile(join(step, '_script.sh'), script);
  await writeFile(join(step, 'stdout'), answer);
  const places = [command, step, join(step, '_script.sh'), join(step, 'stdout')];
  const blocks = await Promise.all(places.map(async (place) => (await stat(place)).blocks));
  return { script: script.length, answer: answer.length, disk: blocks.reduce((sum, count) => sum + count * 512, 0) };
}

function sectionOf(
  poll: { cpuMs: number; ms: number; rssKb: number },
  files: { script: number; answer: number; disk: number },
): Section {
  const everySeconds = LONGEST_WAIT + POLL_SECONDS;
  const days = (KEPT_DAYS * 86_400) / everySeconds;
  return {
    title: `Cost of a poll on the instance (mean of ${POLLS}, ${NEW_LOG.length} new bytes of log, without the agent's own time)`,
    rows: [
      {
        name: 'CPU time',
        value: poll.cpuMs,
        unit: 'ms',
        target: null,
        note: `${(poll.cpuMs / everySeconds / 10).toFixed(2)} % of one core, polled every ${everySeconds} s`,
      },
      { name: 'from script to answer', value: poll.ms, unit: 'ms', target: null },
      { name: 'peak memory', value: poll.rssKb / 1_000, unit: 'MB', target: null },
      { name: "the agent's copy of the script", value: files.script, unit: 'bytes', target: null },
      { name: 'the answer', value: files.answer, unit: 'bytes', target: null },
      { name: 'on disk, in blocks: folders, script, answer', value: files.disk, unit: 'bytes', target: null },
      {
        name: `on disk after ${KEPT_DAYS} days, when the agent begins to delete`,
        value: (days * files.disk) / 1e6,
        unit: 'MB',
        target: null,
        note: `${Math.round(days)} polls`,
      },
    ],
  };
}
