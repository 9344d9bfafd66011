import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { decideOutcome } from '../../core/outcome/decide-outcome.ts';
import type { JobStatus } from '../../core/protocol/answers.ts';
import { FakeLogStore } from '../support/fakes/log-store.ts';
import { finishInput, firstTry, jobStep } from '../support/fakes/samples.ts';
import { shipAnswer } from '../support/fakes/ship-answer.ts';
import { RUNNER_FOLDER } from '../support/instance/test-instance.ts';

type Process = 'alive' | 'zombie' | "another's" | 'gone';
/** No identity.json; none, but a supervisor that has taken the job; or its process, whether its supervisor lives, whether the boot id is another. */
type Identity = 'none' | 'claimed' | [process: Process, supervised: boolean, booted: boolean];

interface Case {
  readonly identity: Identity;
  readonly end: 'none' | 'code 0' | 'code 3' | 'signal' | 'memory' | 'stop' | 'max-duration';
  readonly request: boolean;
  readonly input: boolean;
  readonly closed: boolean;
  readonly stop: boolean;
  /** The answer to a poll. */
  readonly status: JobStatus;
  /** How many jobs a start began then. */
  readonly begun: number;
  readonly refused: string | null;
}

const PROGRAM = fileURLToPath(new URL('truth-table.py', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'runctl truth-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const printed = execFileSync('python3', ['-B', PROGRAM, RUNNER_FOLDER, folder], {
  encoding: 'utf8',
  maxBuffer: 64 << 20,
});
const cases = printed
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Case);

/** What is so, said without the runner: only the identity and the end count. */
function truth({ identity, end }: Case): JobStatus['state'] {
  const ended = end === 'none' ? null : end === 'stop' || end === 'max-duration' ? 'stopped' : 'exited';
  if (identity === 'none') return ended ?? 'absent';
  if (identity === 'claimed') return ended ?? 'running';
  const [process, supervised, booted] = identity;
  if (supervised && !booted) return 'running';
  return ended ?? (process === 'alive' && !booted ? 'running' : 'vanished');
}

const ENDS = {
  'code 0': 'succeeded',
  'code 3': 'failed',
  signal: 'killed',
  memory: 'out-of-memory',
  stop: 'stopped',
  'max-duration': 'timed-out',
} as const;

/** How the run ends that finds its training so. One that runs is not over: a run that ended there would be a defect of ours. */
function meant(one: Case): string {
  const state = truth(one);
  if (state === 'running') return 'internal';
  return one.end === 'none' ? 'vanished' : ENDS[one.end];
}

async function decided(status: JobStatus): Promise<string> {
  const options = { context: firstTry, logs: new FakeLogStore(), maxLogBytes: 1 };
  return decideOutcome(finishInput({ train: await shipAnswer(status, jobStep('train'), options) })).outcome;
}

describe('every combination of marker files', () => {
  it('is there', () => {
    // 2 without identity, 16 with; 7 ends; 4 files that are there or not.
    expect(new Set(cases.map(({ status, begun, refused, ...rest }) => JSON.stringify(rest))).size).toBe(18 * 7 * 16);
  });

  it('means what is so, to a poll and to the outcome', async () => {
    for (const one of cases) {
      const { status, begun, refused, ...files } = one;
      const outcome = await decided(status);
      expect({ ...files, state: status.state, outcome }).toEqual({ ...files, state: truth(one), outcome: meant(one) });
    }
  });

  it('means succeeded with nothing but a code 0 whose supervisor has gone', async () => {
    for (const { identity, end, status } of cases) {
      const supervised = Array.isArray(identity) && identity[1] && !identity[2];
      expect((await decided(status)) === 'succeeded').toBe(end === 'code 0' && !supervised);
    }
  });

  it('lets a start begin the job only when nothing of it was there, and the run is open', () => {
    for (const one of cases) {
      const open = truth(one) === 'absent' && !one.closed;
      expect({ ...one, begun: one.begun > 0 }).toEqual({ ...one, begun: open });
    }
  });
});
