import { describe, expect, it } from 'vitest';
import { RunError } from '../../../core/errors.ts';
import { stopIfIdle } from '../../../core/power/stop-idle.ts';
import { nameAfterRun, nameAfterStart, powerInput, watchAfterRun } from '../../../core/power/watch-power.ts';
import type { CleanUpProgress, PowerInput } from '../../../core/workflow/data.ts';
import { FakeCommands } from '../../support/fakes/ports.ts';
import { foundInstance, instance, run, spec } from '../../support/fakes/samples.ts';

const managed = { ...instance, managed: true as const };
const tags = { ...foundInstance.tags, 'runctl:power': 'managed' };
const input = powerInput({ run, spec, instance: managed }) as PowerInput;
const STARTED = Date.parse('2026-11-27T10:00:00.000Z');
const answer = (verdict: string, changes: object = {}) => ({
  ...{ protocol: 1, ok: true, verdict, reasons: [], idleSeconds: 700, bootId: 'b' },
  ...changes,
});

/** One look, `after` seconds from the beginning. */
function look(
  reply: object | Error,
  { found = { ...foundInstance, tags } as typeof foundInstance | null, after = 600 } = {},
) {
  const commands = new FakeCommands(reply);
  const stopped: string[] = [];
  const ports = {
    instances: { find: () => Promise.resolve(found === null ? [] : [found]) },
    commands,
    stop: (id: string) => Promise.resolve(void stopped.push(id)),
    now: () => STARTED + after * 1_000,
  };
  const output = stopIfIdle(ports, { ...input, startedAt: new Date(STARTED).toISOString() });
  return { output, stopped, commands };
}

describe('a managed instance after a run', () => {
  it('is stopped when it says that nobody uses it, and only then', async () => {
    const { output, stopped, commands } = look(answer('stopping'));
    expect(await output).toMatchObject({ wait: null });
    expect(stopped).toEqual([instance.id]);
    expect(commands.asked[0]?.request).toMatchObject({ verb: 'idle', quiet: 600, run: { key: run.key } });
    for (const verdict of ['in-use', 'busy', 'quiet']) {
      const other = look(answer(verdict));
      await other.output;
      expect(other.stopped, verdict).toEqual([]);
    }
  });

  it('is looked at again until it was quiet for long enough, or as long as somebody uses it', async () => {
    expect(await look(answer('quiet', { idleSeconds: 530.5 })).output).toMatchObject({ wait: 71 });
    const busy = (after: number) => look(answer('busy', { reasons: ['ann is logged in'] }), { after }).output;
    expect(await busy(10)).toMatchObject({ wait: 30, message: expect.stringContaining('ann is logged in') });
    expect(await busy(1_000)).toMatchObject({ wait: 100 });
    expect(await busy(1e6)).toMatchObject({ wait: 600 });
  });

  it('is left to the run that has it: its end begins another look', async () => {
    expect(await look(answer('in-use', { reasons: ['run x has it'] })).output).toMatchObject({ wait: null });
  });

  it.each(['AgentOffline', 'AgentSilent', 'RunnerBroken', 'DiskFull', 'PythonMissing'] as const)(
    '%s: what is not known counts as use',
    async (name) => {
      const { output, stopped } = look(new RunError(name, 'why'));
      expect(await output).toMatchObject({ wait: 60, message: expect.stringContaining(name) });
      expect(stopped).toEqual([]);
    },
  );

  it('is not asked, and not stopped, when it does not run or may not be stopped any more', async () => {
    const of = async (found: typeof foundInstance | null) => {
      const { output, stopped, commands } = look(answer('stopping'), { found });
      const { wait } = await output;
      expect([stopped, commands.asked]).toEqual([[], []]);
      return wait;
    };
    for (const state of ['stopped', 'stopping', 'shutting-down', 'terminated'])
      expect(await of({ ...foundInstance, tags, state })).toBeNull();
    expect(await of(null)).toBeNull();
    expect(await of(foundInstance)).toBeNull();
    expect(await of({ ...foundInstance, tags: { 'runctl:power': 'managed' } })).toBeNull();
    expect(await of({ ...foundInstance, tags, state: 'pending' })).toBe(60);
  });

  it('fails the look when an AWS service is away, so that it is made again', async () => {
    await expect(look(new RunError('ServiceUnavailable', 'x')).output).rejects.toMatchObject({
      name: 'ServiceUnavailable',
    });
  });
});

describe('what stops an instance after a run', () => {
  const of = (own: number | 'never' | undefined, tag?: number | 'never', isManaged = true) =>
    powerInput({
      run,
      spec: { ...spec, ...(own === undefined ? {} : { stopAfter: own }) },
      instance: { ...(isManaged ? managed : instance), ...(tag === undefined ? {} : { stopAfter: tag }) },
    });

  it('waits as the run says, else the tag, else ten minutes; nothing without the tag, or with never', () => {
    expect([of(60, 300)?.stopAfter, of(undefined, 300)?.stopAfter, of(undefined)?.stopAfter]).toEqual([60, 300, 600]);
    expect(of(0)).toMatchObject({ stopAfter: 0, wait: 0 });
    expect([of('never', 300), of(undefined, 'never'), of(60, 300, false)]).toEqual([null, null, null]);
    expect(of(60, 'never')?.stopAfter).toBe(60);
  });

  it('has a name of its own for each end and each start, of 80 characters at most', () => {
    const key = 'k'.repeat(72);
    const names = [
      nameAfterRun({ key }),
      nameAfterStart({ key }, 1_795_000_010.9),
      nameAfterStart({ key }, 1_795_000_011),
    ];
    expect(new Set(names).size).toBe(3);
    for (const name of names) expect(name.length).toBeLessThanOrEqual(80);
  });

  it('is begun once, when the instance has been given back; a failure is a warning', async () => {
    const begun: string[] = [];
    const progress = (phase: CleanUpProgress['phase']): CleanUpProgress => ({
      ...{ phase, since: 0, files: null, uploaded: [], jobs: {}, failures: 0, warnings: ['w'] },
    });
    const watch = (last: CleanUpProgress, fails = false) =>
      watchAfterRun(
        (name) => (fails ? Promise.reject(new Error('throttled')) : Promise.resolve(void begun.push(name))),
        { run, spec, instance: managed },
        last,
      );
    for (const phase of ['save', 'collect', 'upload', 'release'] as const)
      expect(await watch(progress(phase))).toEqual(progress(phase));
    const once = await watch(progress('drain'));
    expect(once).toEqual({ ...progress('drain'), watched: true });
    expect(await watch({ ...once, phase: 'done' })).toMatchObject({ watched: true });
    expect(begun).toEqual([`${run.key}-stop`]);
    const failed = await watch(progress('done'), true);
    expect(failed.warnings).toEqual(['w', expect.stringContaining('throttled')]);
  });
});
