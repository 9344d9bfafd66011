import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { OUTPUTS } from '../../../core/names.ts';
import { localSettings } from '../../../local/cloud/clients.ts';
import { projectRoot, statePaths } from '../../../local/cloud/paths.ts';
import { signedFetch } from '../../../local/cloud/signed-fetch.ts';
import type { LocalState } from '../../../local/cloud/state.ts';
import { down } from '../../../local/commands/down.ts';
import { up } from '../../../local/commands/up.ts';
import { tarGz } from '../../e2e/archives.ts';
import { waitFor } from '../../support/instance/processes.ts';
import { Random } from '../random.ts';
import { checkRun } from './check.ts';
import { drawInterruptions, type Interruption, interrupt, type PlayedInterruption } from './interruptions.ts';
import { Machine } from './machine.ts';
import { RunView } from './run-view.ts';
import { type Note, TRAIN } from './training.ts';

const PROJECT = 'interrupted';
/** More than a training takes in the time until it is interrupted. */
const STEPS_PER_INTERRUPTION = 120;
/** Multiplies the waits of the state machines. */
const WAIT_SCALE = 0.3;
const LONGEST_LIFE_MS = 10_000;

/**
 * Interrupts one run on a local cloud of its own again and again, and prints what it sees.
 * @returns the problems; none: the run ended as if nobody had interrupted it
 */
export async function playCloud(seed: number, count: number): Promise<string[]> {
  const base = join(projectRoot, '.runctl', 'soak', `${process.pid}`);
  const paths = statePaths(base);
  mkdirSync(base, { recursive: true });
  const signal = new AbortController().signal;
  const { state } = await up(paths, { agentCommand: null, deploy: 'always', signal, output: 'progress' });
  let machine: Machine | null = null;
  try {
    machine = await Machine.register(state, base, PROJECT);
    return await playOn(state, machine, { base, seed, count });
  } finally {
    await machine?.remove();
    await down(paths, { purge: false });
    rmSync(base, { recursive: true, force: true });
  }
}

async function playOn(
  state: LocalState,
  machine: Machine,
  { base, seed, count }: { base: string; seed: number; count: number },
): Promise<string[]> {
  const random = new Random(seed);
  const steps = STEPS_PER_INTERRUPTION * count;
  const [notes, hurry] = [join(base, 'notes.jsonl'), join(base, 'hurry')];
  const body = JSON.stringify({ 'stepfunctions._SFN_WAIT_SCALE': String(WAIT_SCALE) });
  await signedFetch(`${state.endpoint}/_ministack/config`, state.credentials, { method: 'POST', body });
  const on = ['instance-lost', 'vanished', 'interrupted', 'failed', 'killed'];
  const spec = { args: [String(steps), notes, hurry], retries: { on, times: 20 }, maxDuration: '6h', stopGrace: '2s' };
  const s3 = new S3Client(localSettings(state));
  await s3.send(
    new PutObjectCommand({
      Bucket: state.deployed?.outputs[OUTPUTS.bucket],
      Key: `uploads/${PROJECT}/chain.tar.gz`,
      Body: await tarGz({ 'train.py': TRAIN }),
      Metadata: { runctl: JSON.stringify(spec) },
    }),
  );
  s3.destroy();
  const run = await RunView.find(state, PROJECT);
  const began = performance.now();
  console.log(`run ${run.id}, ${steps} steps, ${count} interruptions, seed ${seed}`);
  const played: PlayedInterruption[] = [];
  try {
    for (const kind of drawInterruptions(random.fork('kinds'), count)) {
      const after = played.findLast(({ attempt }) => attempt !== null)?.attempt ?? 0;
      const one = await playOne(kind, { machine, run, random: random.fork(`moment ${played.length}`), after });
      if (one === null) break;
      played.push({ kind, attempt: one.attempt });
      const when = `attempt ${one.attempt ?? '?'} ${one.special}`.trim();
      console.log(
        `${played.length}/${count} at ${seconds(began)} s: ${kind}, ${when}, latest ${run.latest.at(-1)?.seq ?? 'none'}`,
      );
    }
    writeFileSync(hurry, '');
    await waitFor(async () => (await run.hasEnded()) || null, 600);
    console.log(`ended at ${seconds(began)} s`);
    const isQuiet = async () => (!machine.isHeld && (await machine.processes()) === 0) || null;
    const left = await waitFor(isQuiet, 120).then(
      () => [],
      async () => [`${await machine.processes()} processes are left, and the lease ${machine.isHeld ? 'too' : 'not'}`],
    );
    const lines = existsSync(notes) ? readFileSync(notes, 'utf8').trim().split('\n') : [];
    const noted = lines.map((line) => JSON.parse(line) as Note);
    return [
      ...(played.length < count ? [`the run ended after ${played.length} interruptions`] : []),
      ...left,
      ...(await checkRun(run, { steps, noted, played })),
    ];
  } finally {
    run.close();
  }
}

/** @returns null: the run has ended */
async function playOne(
  kind: Interruption,
  { machine, run, random, after }: { machine: Machine; run: RunView; random: Random; after: number },
): Promise<{ attempt: number | null; special: string } | null> {
  if (kind === 'reboot at any moment') {
    await sleep(random.between(0, LONGEST_LIFE_MS));
    if (await run.hasEnded()) return null;
    const attempt = machine.training(after)?.attempt ?? null;
    await machine.reboot();
    return { attempt, special: attempt === null ? 'no training was running' : '' };
  }
  const begun = () => machine.training(after);
  const training = await waitFor(async () => begun() ?? ((await run.hasEnded()) ? ('ended' as const) : null), 600);
  if (training === 'ended') return null;
  const life = random.between(100, LONGEST_LIFE_MS);
  await sleep(life);
  const special = await interrupt(kind, machine, training, random);
  return { attempt: training.attempt, special: `after ${(life / 1_000).toFixed(1)} s ${special}` };
}

function seconds(began: number): string {
  return ((performance.now() - began) / 1_000).toFixed(0);
}
