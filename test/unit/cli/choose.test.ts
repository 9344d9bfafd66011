import { describe, expect, it } from 'vitest';
import type { Context } from '../../../cli/context.ts';
import { runsToPull, runsToStop } from '../../../cli/runs/choose.ts';
import type { Run, Runs } from '../../../cli/runs/find.ts';
import type { RunWord } from '../../../core/workflow/vocabulary.ts';

/** A folder without a runctl.yaml. */
const context = { folder: import.meta.dirname } as Context;
const PHASES = ['queued', 'training', 'stopping'];

/** The runs of a project, newest first, by their words. */
function account(words: Readonly<Record<string, RunWord>>): Runs {
  const summaries = Object.entries(words).map(([id, state]) => ({
    id,
    state,
    outcome: PHASES.includes(state) ? null : state,
    isKept: !PHASES.includes(state),
  }));
  const runs = {
    async *list(_: string, only = { active: false }) {
      for (const run of summaries) if (!only.active || run.outcome === null) yield run;
    },
    find: async (query: string | undefined) => {
      const found = query === undefined ? summaries[0] : summaries.find(({ id }) => id.startsWith(query));
      if (!found) throw new Error(`no run ${query}`);
      return { id: found.id } as Run;
    },
  };
  return runs as unknown as Runs;
}

const choice = { ids: [] as string[], all: false, project: 'digits' };
const ids = (runs: readonly Run[]) => runs.map(({ id }) => id);

describe('the runs that `stop` stops', () => {
  it('are the only active one, whichever it is; else the latest, which has ended', async () => {
    expect(ids(await runsToStop(context, account({ c: 'failed', b: 'training', a: 'stopping' }), choice))).toEqual([
      'b',
    ]);
    expect(ids(await runsToStop(context, account({ c: 'failed', b: 'stopped' }), choice))).toEqual(['c']);
  });

  it('are never one of several: those are listed with what they do', async () => {
    await expect(runsToStop(context, account({ b: 'queued', a: 'training' }), choice)).rejects.toMatchObject({
      message: '2 runs of digits are active:\n  b  queued\n  a  training',
      next: 'Give the id of one or several, or --all.',
      exitCode: 2,
    });
  });

  it('are all active ones with --all, and those that are named, each once', async () => {
    const runs = account({ d: 'queued', c: 'training', b: 'stopping', a: 'failed' });
    expect(ids(await runsToStop(context, runs, { ...choice, all: true }))).toEqual(['d', 'c']);
    expect(ids(await runsToStop(context, runs, { ...choice, ids: ['c', 'a', 'c'] }))).toEqual(['c', 'a']);
    await expect(runsToStop(context, runs, { ...choice, ids: ['c'], all: true })).rejects.toThrow('--all was given');
    await expect(runsToStop(context, account({ a: 'failed' }), { ...choice, all: true })).rejects.toThrow('No run of');
  });

  it('are none when one of the ids does not exist', async () => {
    await expect(runsToStop(context, account({ a: 'training' }), { ...choice, ids: ['a', 'x'] })).rejects.toThrow(
      'no run x',
    );
  });
});

describe('the runs that `pull` downloads', () => {
  const runs = account({ d: 'training', c: 'succeeded', r: 'rejected', s: 'skipped', b: 'failed', a: 'stopped' });

  it('are the latest, those that are named, or the latest that have ended', async () => {
    expect(ids(await runsToPull(context, runs, { ...choice, number: 2 }))).toEqual(['d']);
    expect(ids(await runsToPull(context, runs, { ...choice, ids: ['a', 'c'], number: 2 }))).toEqual(['a', 'c']);
    expect(ids(await runsToPull(context, runs, { ...choice, all: true, number: 2 }))).toEqual(['c', 'b']);
  });
});
