import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { type SyncSetup, useSyncSetup } from '../support/instance/sync-setup.ts';
import { archive } from '../support/instance/tarball.ts';

const FAULT = fileURLToPath(new URL('./sync-fault.py', import.meta.url));
const syncSetup = useSyncSetup();

/** Each third change to the disk is one to be killed at; `KILL_EVERY=1` takes all, for many minutes. */
const EVERY = Number(process.env.KILL_EVERY ?? 3);

/** Every kind of change at once. */
const OLD = {
  'train.py': '1',
  'same.py': 's',
  'gone/deep/a.py': 'a',
  file: 'f',
  'folder/x.py': 'x',
  'edited.py': '1',
  'lost.py': '1',
};
const NEW = { 'train.py': '2', 'same.py': 's', 'new/deep/b.py': 'b', 'file/y.py': 'y', folder: 'f', 'edited.py': '2' };
/** What the person did after the old code came. */
const OWN = { 'outputs/model.bin': 'weights', 'gone/notes.txt': 'notes', 'edited.py': 'edited', 'lost.py': 'edited' };

/** The files of a tree, without folders, and without what was kept beside. */
function codeOf(instance: SyncSetup): Record<string, string> {
  const files = Object.entries(instance.tree()).filter(([, text]) => text !== '<folder>');
  return Object.fromEntries(files.filter(([name]) => !name.includes('.local-')));
}

function keptBy(instance: SyncSetup): string[] {
  return Object.entries(instance.tree()).flatMap(([name, text]) => (name.includes('.local-') ? [text] : []));
}

const AS_OLD = { ...OLD, ...OWN };
const { 'edited.py': _edited, 'lost.py': _lost, ...OWN_STILL } = OWN;
const AS_NEW = { ...NEW, ...OWN_STILL };

describe('a sync that is killed', () => {
  it('just before its changes to the disk leaves, after the next one, the old code or the new', async () => {
    const instance = syncSetup();
    const template = join(instance.base, 'template');
    await instance.sync(archive(OLD));
    for (const [name, text] of Object.entries(OWN)) instance.write(name, text);
    cpSync(instance.home, template, { recursive: true, preserveTimestamps: true });
    const bytes = archive(NEW);
    const url = await instance.serve((_, response) => void response.end(bytes));
    const seen = { old: 0, completed: 0 };

    for (let at = 1; ; at += EVERY) {
      rmSync(instance.home, { recursive: true });
      cpSync(template, instance.home, { recursive: true, preserveTimestamps: true });
      const words = ['-I', '-B', FAULT, 'kill', String(at), instance.runner];
      const { code } = await instance.ended(instance.start(instance.request(bytes, url), { words }));
      if (code === 0) break;
      expect(code).toBe(null);
      const journalled = existsSync(join(instance.own, 'journal.json'));
      const now = codeOf(instance);
      // Without a journal nothing is under way: the folder is whole already.
      if (!journalled) expect([AS_OLD, AS_NEW], `killed at ${at}`).toContainEqual(now);

      expect(await instance.recover()).toMatchObject({ code: 0 });

      const after = codeOf(instance);
      const isNew = after['train.py'] === '2';
      expect(after, `killed at ${at}`).toEqual(isNew ? AS_NEW : AS_OLD);
      expect(keptBy(instance), `killed at ${at}`).toEqual(isNew ? ['edited', 'edited'] : []);
      expect(readdirSync(instance.own).sort()).toEqual(['lock', 'manifest.json']);
      if (journalled) expect(isNew, `killed at ${at}`).toBe(true);
      seen[isNew ? 'completed' : 'old'] += 1;

      if (at % 4 > 0) continue;
      expect(await instance.sync(bytes)).toMatchObject({ code: 0, result: { cached: isNew } });
      expect(codeOf(instance), `killed at ${at}`).toEqual(AS_NEW);
    }
    expect(codeOf(instance)).toEqual(AS_NEW);
    expect(seen.old).toBeGreaterThan(3);
    expect(seen.completed).toBeGreaterThan(3);
  });

  it('with its process group, ends what it began: no next one is needed', async () => {
    const instance = syncSetup();
    const template = join(instance.base, 'template');
    await instance.sync(archive(OLD));
    cpSync(instance.home, template, { recursive: true, preserveTimestamps: true });
    const bytes = archive(NEW);
    const url = await instance.serve((_, response) => void response.end(bytes));
    let completed = 0;
    for (let at = 1; ; at += EVERY) {
      rmSync(instance.home, { recursive: true });
      cpSync(template, instance.home, { recursive: true, preserveTimestamps: true });
      const words = ['-I', '-B', FAULT, 'kill-job', String(at), instance.runner];
      const { code } = await instance.ended(instance.start(instance.request(bytes, url), { words }));
      if (code === 0) break;
      expect(existsSync(join(instance.own, 'journal.json')), `killed at ${at}`).toBe(false);
      const now = codeOf(instance);
      expect(now, `killed at ${at}`).toEqual(now['train.py'] === '2' ? NEW : OLD);
      if (now['train.py'] === '2') completed += 1;
    }
    expect(completed).toBeGreaterThan(3);
  });

  it('at its very first, leaves no code or all of it', async () => {
    const instance = syncSetup();
    const bytes = archive(NEW);
    const url = await instance.serve((_, response) => void response.end(bytes));
    for (let at = 1; ; at += EVERY) {
      rmSync(instance.home, { recursive: true });
      mkdirSync(instance.home);
      const words = ['-I', '-B', FAULT, 'kill', String(at), instance.runner];
      const { code } = await instance.ended(instance.start(instance.request(bytes, url), { words }));
      if (code === 0) break;
      if (existsSync(instance.project)) expect(codeOf(instance), `killed at ${at}`).toEqual(NEW);
      expect(await instance.sync(bytes)).toMatchObject({ code: 0 });
      expect(codeOf(instance), `killed at ${at}`).toEqual(NEW);
    }
  });

  it('at random moments, ten times, leaves the old code or the new', async () => {
    const instance = syncSetup();
    const many = (version: number) => {
      const files = Array.from({ length: 400 }, (_, at) => [`p${at % 20}/m${at}.py`, `v = ${version}\n`.repeat(200)]);
      return Object.fromEntries([['train.py', String(version)], [`only${version}.py`, ''], ...files]) as Record<
        string,
        string
      >;
    };
    const codes = [many(0), many(1)];
    const archives = codes.map(archive);
    await instance.sync(archives[0] as Buffer);
    const began = performance.now();
    await instance.sync(archives[1] as Buffer);
    const whole = performance.now() - began;
    let current = 1;
    const ends = { completed: 0, killed: 0 };
    for (let round = 0; round < 10; round += 1) {
      const bytes = archives[1 - current] as Buffer;
      const url = await instance.serve((_, response) => void response.end(bytes));
      const child = instance.start(instance.request(bytes, url));
      const ended = instance.ended(child);
      await Promise.race([ended, sleep(Math.random() * whole)]);
      child.kill('SIGKILL');
      const { code } = await ended;
      ends[code === 0 ? 'completed' : 'killed'] += 1;

      expect(await instance.recover()).toMatchObject({ code: 0 });

      const after = codeOf(instance);
      current = after['train.py'] === '1' ? 1 : 0;
      expect(after).toEqual(codes[current]);
    }
    expect(ends.killed).toBeGreaterThan(1);
  });
});

describe('a sync that finds the disk full', () => {
  it.each(['full-once', 'full'])(
    'at its changes leaves the old code, or has the next one bring the new (%s)',
    async (fault) => {
      const instance = syncSetup();
      const template = join(instance.base, 'template');
      await instance.sync(archive(OLD));
      for (const [name, text] of Object.entries(OWN)) instance.write(name, text);
      cpSync(instance.home, template, { recursive: true, preserveTimestamps: true });
      const bytes = archive(NEW);
      const url = await instance.serve((_, response) => void response.end(bytes));
      let undone = 0;
      for (let at = 1; ; at += fault === 'full' ? 2 * EVERY : EVERY) {
        rmSync(instance.home, { recursive: true });
        cpSync(template, instance.home, { recursive: true, preserveTimestamps: true });
        const words = ['-I', '-B', FAULT, fault, String(at), instance.runner];
        const { code, log, result } = await instance.ended(instance.start(instance.request(bytes, url), { words }));
        if (code === 0) break;
        expect(result.error?.name, `full at ${at}: ${log}`).toBe('DiskFull');
        if (existsSync(join(instance.own, 'journal.json'))) {
          expect(await instance.recover()).toMatchObject({ code: 0 });
          expect(codeOf(instance), `full at ${at}`).toEqual(AS_NEW);
          expect(keptBy(instance), `full at ${at}`).toEqual(['edited', 'edited']);
        } else {
          expect(codeOf(instance), `full at ${at}`).toEqual(AS_OLD);
          expect(keptBy(instance), `full at ${at}`).toEqual([]);
          if (log.includes('restoring the previous code')) undone += 1;
        }
        expect(readdirSync(instance.own).filter((name) => !['lock', 'manifest.json'].includes(name))).toEqual([]);
      }
      expect(codeOf(instance)).toEqual(AS_NEW);
      if (fault === 'full-once') expect(undone).toBeGreaterThan(1);
    },
  );
});

describe('a sync interrupted while it was applied', () => {
  /** Kills a sync of NEW over OLD in the middle of its renames. */
  async function interrupted(instance: SyncSetup): Promise<void> {
    await instance.sync(archive(OLD));
    const template = join(instance.base, 'template');
    cpSync(instance.home, template, { recursive: true, preserveTimestamps: true });
    const bytes = archive(NEW);
    const url = await instance.serve((_, response) => void response.end(bytes));
    for (let at = 20; at < 80; at += 1) {
      rmSync(instance.home, { recursive: true });
      cpSync(template, instance.home, { recursive: true, preserveTimestamps: true });
      const words = ['-I', '-B', FAULT, 'kill', String(at), instance.runner];
      await instance.ended(instance.start(instance.request(bytes, url), { words }));
      if (existsSync(join(instance.own, 'journal.json')) && codeOf(instance)['train.py'] === '2') return;
    }
    throw new Error('no such moment');
  }

  it('is undone when a power cut tore its files', async () => {
    const instance = syncSetup();
    await interrupted(instance);
    const torn = join(instance.project, 'train.py');
    execFileSync('cp', ['-p', torn, `${instance.base}/whole`]);
    truncateSync(torn);
    execFileSync('touch', ['-r', `${instance.base}/whole`, torn]); // to the nanosecond, which utimes of Node cannot

    const { code, log } = await instance.recover();

    expect({ code, log }).toMatchObject({ code: 0 });
    expect(log).toContain('train.py was lost when the instance stopped');
    expect(codeOf(instance)).toEqual(OLD);
    expect(keptBy(instance)).toEqual([]);
  });

  it('is completed before anything else, also when the next archive cannot be fetched', async () => {
    const instance = syncSetup();
    await interrupted(instance);
    const url = await instance.serve((_, response) => void response.writeHead(403).end());

    const run = await instance.sync(archive({ 'train.py': '3' }), { url });

    expect(run.result.error?.name).toBe('FetchFailed');
    expect(run.log).toContain('An earlier sync was interrupted while it was applied: completing it');
    expect(codeOf(instance)).toEqual(NEW);
  });
});
