import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { decideOutcome } from '../../../core/outcome/decide-outcome.ts';
import { buildManifest } from '../../../core/outcome/manifest.ts';
import { manifestSchema, readManifest } from '../../../core/outcome/manifest-schema.ts';
import { type EndedExecution, readEnding } from '../../../core/workflow/run-ending.ts';
import { endedStep, finishInput, run } from '../../support/fakes/samples.ts';

/** As runctl 0.1.0 wrote it. */
const STORED = readFileSync(new URL('../../support/fixtures/manifest-0.1.0.json', import.meta.url), 'utf8');
const stored = JSON.parse(STORED) as Record<string, unknown>;
/** The same with what was added since. */
const completed = {
  ...stored,
  program: null,
  metrics: [],
  attempts: [],
  checkpoints: null,
  environment: null,
  jobs: { ...(stored.jobs as object), restore: null },
  logs: (stored.logs as object[]).map((log) => ({ ...log, attempt: 1 })),
  archive: { ...(stored.archive as object), patchBytes: null, sent: null },
  cost: { ...(stored.cost as object), instance: null },
  outputs: { ...(stored.outputs as object), leftOut: { count: 0, bytes: 0, files: [] }, others: [] },
};

const ended = (changes: Partial<EndedExecution>) =>
  readEnding({ status: 'FAILED', error: null, output: null, cause: null, ...changes });

describe('how an execution ended', () => {
  it('is what Finish run wrote, as the output of a success and the cause of a failure', () => {
    const good = decideOutcome(finishInput());
    expect(ended({ status: 'SUCCEEDED', output: JSON.stringify({ ...good, wait: null }) })).toEqual({
      outcome: 'succeeded',
      message: good.message,
      next: null,
      exitCode: 0,
      signal: null,
      warnings: [],
      lastLines: [],
    });
    const train = endedStep('train', 3, { tail: ['ValueError: x'] });
    const { error, cause, ...bad } = decideOutcome(finishInput({ train }));
    const { pid, ...ending } = bad;
    expect(ended({ error, cause })).toEqual(ending);
    expect(ending).toMatchObject({ outcome: 'failed', exitCode: 3, lastLines: ['ValueError: x'] });
  });

  it('lacks nothing when an older runctl wrote less, or Outcome unknown', () => {
    const cause = JSON.stringify({ outcome: 'internal', message: 'Finish run: States.Timeout: ' });
    expect(ended({ error: 'Internal', cause })).toMatchObject({
      outcome: 'internal',
      message: 'Finish run: States.Timeout: ',
      next: expect.stringContaining('report the message'),
      warnings: [],
    });
  });

  it.each([
    ['ABORTED', 'runctl stop', null, 'stopped'],
    ['TIMED_OUT', null, null, 'timed-out'],
    ['FAILED', 'no JSON', 'InstanceLost', 'instance-lost'],
    ['FAILED', '{"outcome":"of-a-later-version","message":"x"}', null, 'internal'],
    ['FAILED', '"a text"', null, 'internal'],
  ] as const)(
    '%s with the cause %s and the error %s is %s, which has its own word',
    (status, cause, error, outcome) => {
      expect(ended({ status, cause, error }).outcome).toBe(outcome);
    },
  );
});

describe('a manifest', () => {
  it('of runctl 0.1.0 is read, and is as strict a manifest as today', () => {
    expect(readManifest(STORED)).toEqual(completed);
    expect(manifestSchema.parse(completed)).toEqual(completed);
  });

  it('has the next step that the outcome has', () => {
    const tail = ['ModuleNotFoundError: No module named x'];
    const facts = finishInput({ train: endedStep('train', 1, { tail }), install: endedStep('install', 1) });
    const outcome = decideOutcome(facts);
    const parts = { execution: { name: run.id, arn: run.arn, startedAt: run.startedAt }, input: {}, now: Date.now() };
    const manifest = buildManifest({ ...parts, facts, outcome, progress: null, inventory: null, states: [] });
    expect(manifest.next).toBe(outcome.next);
    expect(manifest.next).toMatch(/requirements/);
  });

  it('has the latest values of the training', () => {
    const values = [
      { name: 'loss', step: 3, value: 0.5 },
      { name: 'grad', step: 3, value: null, gap: 'nan' as const },
    ];
    const train = { ...endedStep('train', 0), metrics: { values, epoch: null, isMidLine: false } };
    const facts = finishInput({ train });
    const parts = { execution: { name: run.id, arn: run.arn, startedAt: run.startedAt }, input: {}, now: Date.now() };
    const manifest = buildManifest({
      ...parts,
      facts,
      outcome: decideOutcome(facts),
      progress: null,
      inventory: null,
      states: [],
    });
    expect(manifestSchema.parse(manifest).metrics).toEqual([{ ...values[0], gap: null }, values[1]]);
  });

  it.each(Object.keys(stored).filter((key) => !['version', 'run', 'outcome'].includes(key)))(
    'is read without %s, which an older runctl did not write',
    (key) => {
      const { [key]: left, ...rest } = completed as Record<string, unknown>;
      expect(left).toBeDefined();
      expect(() => manifestSchema.parse(rest)).toThrow(key);
      const read = readManifest(JSON.stringify(rest)) as Record<string, unknown> | null;
      expect(read).toMatchObject(rest);
      expect(read?.[key]).toBeDefined();
    },
  );

  it('keeps what a newer runctl added, and an error that it named', () => {
    const newer = { ...completed, error: 'OfALaterVersion', later: 1, run: { ...(stored.run as object), later: 2 } };
    expect(readManifest(JSON.stringify(newer))).toEqual(newer);
    expect(() => manifestSchema.parse(newer)).toThrow();
  });

  it.each([
    ['no JSON', '{'],
    ['of another version', JSON.stringify({ ...stored, version: 2 })],
    ['without an outcome', JSON.stringify({ ...stored, outcome: undefined })],
    ['with an outcome that nobody knows', JSON.stringify({ ...stored, outcome: 'ok' })],
  ])('is not one: %s', (_, text) => {
    expect(readManifest(text)).toBeNull();
  });
});
