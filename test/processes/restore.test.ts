import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { md5, type RestoreSetup, useRestoreSetup } from '../support/instance/restore-setup.ts';

const restoreSetup = useRestoreSetup();
const NAME = 'checkpoints/epoch-7';
/** Different in each of its parts. */
const WEIGHTS = Buffer.from(Array.from({ length: 4_500 }, (_, at) => at % 251));
const NEW = {
  'checkpoints/epoch-7/weights.bin': WEIGHTS.toString('latin1'),
  'checkpoints/epoch-7/deep/state.json': '{"step": 7}',
  'checkpoints/epoch-7/empty': '',
  'checkpoints/latest': 'epoch-7',
};

async function prepared(old: Readonly<Record<string, string>> = {}): Promise<RestoreSetup> {
  const setup = await restoreSetup();
  setup.write('train.py', 'print(1)');
  for (const [name, text] of Object.entries(old)) setup.write(name, text);
  return setup;
}

const stored = (setup: RestoreSetup) =>
  setup.checkpoint(NAME, {
    ...NEW,
    'checkpoints/epoch-7/weights.bin': WEIGHTS,
  });

/** The files of the checkpoint in the project. */
function found(setup: RestoreSetup): Record<string, string> {
  const names = Object.keys(NEW).filter((name) => existsSync(join(setup.project, name)));
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(setup.project, name), 'latin1')]));
}

const BYTES = Object.values(NEW).reduce((sum, text) => sum + text.length, 0);
const restored = (kept: number) => ({ restored: NAME, files: 4, bytes: BYTES, kept });
const staging = (setup: RestoreSetup) => join(setup.project, '.runctl-restore');

describe('a restore', () => {
  it('brings all files of a checkpoint, each part verified, and leaves nothing else', async () => {
    const setup = await prepared({ 'checkpoints/latest': 'epoch-6', 'checkpoints/epoch-6/weights.bin': '6' });
    const before = setup.tree();
    const run = await setup.restore(stored(setup));
    expect(run).toMatchObject({ code: 0, result: restored(0) });
    expect(run.phases).toEqual(['verifying', 'downloading', 'applying']);
    expect(found(setup)).toEqual(NEW);
    expect(setup.tree()).toMatchObject({ ...before, 'checkpoints/latest': 'epoch-7' });
    expect(existsSync(staging(setup))).toBe(false);
  });

  it('fetches only what is not there already, with its size and MD5', async () => {
    const setup = await prepared();
    await setup.restore(stored(setup));
    setup.asked.length = 0;
    expect(await setup.restore(stored(setup))).toMatchObject({ code: 0, result: restored(4) });
    expect(setup.asked.map(([key]) => key.slice(0, 4))).toEqual(['list']);

    setup.write('checkpoints/epoch-7/weights.bin', Buffer.from(WEIGHTS).fill(0, 10, 11).toString('latin1'));
    rmSync(join(setup.project, 'checkpoints/epoch-7/deep'), { recursive: true });
    setup.asked.length = 0;
    expect(await setup.restore(stored(setup))).toMatchObject({ code: 0, result: restored(2) });
    expect(setup.asked).toHaveLength(1 + 5 + 1);
    expect(found(setup)).toEqual(NEW);
  });

  it('goes on after the last byte when a connection breaks, and tries a busy server again', async () => {
    const setup = await prepared();
    const list = stored(setup);
    const key = [...setup.objects].find(([, body]) => body.length === 1_000)?.[0] as string;
    let broken = 0;
    setup.meddle = (asked, _, response) => {
      if (asked !== key || broken === 3) return false;
      broken += 1;
      const [, first, last] = setup.asked.at(-1) as [string, number, number];
      if (broken === 3) {
        response.writeHead(503).end();
        return true;
      }
      const headers = { 'Content-Range': `bytes ${first}-${last}/1000`, 'Content-Length': last - first + 1 };
      response.writeHead(206, headers);
      response.write(setup.objects.get(key)?.subarray(first, first + 300), () => response.destroy());
      return true;
    };
    expect(await setup.restore(list)).toMatchObject({ code: 0, result: restored(0) });
    expect(found(setup)).toEqual(NEW);
    const ranges = setup.asked.filter(([asked]) => asked === key).map(([, first]) => first);
    expect(ranges).toEqual([0, 300, 600, 600]);
  });

  it.each([
    ['a part that is not what was saved', 'what S3 has is not what was saved'],
    ['another range than the requested one', 'did not answer with the range'],
    ['an object that is shorter', 'did not answer with the range'],
  ])('fails with %s, and leaves the project as it was', async (what, message) => {
    const setup = await prepared({ 'checkpoints/latest': 'epoch-6' });
    const list = stored(setup);
    const part = list.files[0]?.parts[1] as { url: string; bytes: number };
    const key = new URL(part.url).pathname.slice(1);
    if (what.startsWith('a part')) setup.objects.set(key, Buffer.alloc(part.bytes, 1));
    setup.meddle = (asked, _, response) => {
      if (asked !== key || what.startsWith('a part')) return false;
      const range = what.startsWith('another') ? 'bytes 1-1000/1001' : 'bytes 0-998/999';
      response.writeHead(206, { 'Content-Range': range, 'Content-Length': 1_000 }).end(Buffer.alloc(1_000));
      return true;
    };
    const run = await setup.restore(list);
    expect(run).toMatchObject({ code: 1, result: { error: { name: 'RestoreFailed' } } });
    expect(run.result.error?.message).toContain(message);
    expect(found(setup)).toEqual({ 'checkpoints/latest': 'epoch-6' });
  });

  it('whose URLs have expired keeps what it has fetched for the next one', async () => {
    const setup = await prepared();
    const list = stored(setup);
    const last = new URL(list.files.at(-1)?.parts[0]?.url as string).pathname.slice(1);
    setup.meddle = (asked, _, response) => {
      if (asked !== last) return false;
      response.writeHead(403).end('<Error><Code>AccessDenied</Code></Error>');
      return true;
    };
    const failed = await setup.restore(list);
    expect(failed.result.error).toEqual({
      name: 'RestoreFailed',
      message: 'checkpoints/latest could not be fetched: S3 answered 403 AccessDenied',
    });
    expect(found(setup)).toEqual({});
    setup.meddle = () => false;
    setup.asked.length = 0;
    const run = await setup.restore(list);
    expect(run).toMatchObject({ code: 0, result: restored(0) });
    expect(run.log).toContain('fetched by an earlier restore');
    expect(found(setup)).toEqual(NEW);
    expect(setup.asked.map(([key]) => key)).toContain(last);
    expect(setup.asked.length).toBeLessThan(7);
  });

  it('removes what an earlier restore of another checkpoint has left', async () => {
    const setup = await prepared();
    mkdirSync(staging(setup));
    writeFileSync(join(staging(setup), 'a'.repeat(32)), 'of another one');
    expect(await setup.restore(stored(setup))).toMatchObject({ code: 0, result: restored(0) });
    expect(existsSync(staging(setup))).toBe(false);
  });
});

describe('a restore that is killed', () => {
  it('just before any change to the disk leaves what was there, or what the next one completes', async () => {
    const setup = await prepared({ 'checkpoints/latest': 'epoch-6', 'checkpoints/epoch-7/weights.bin': 'torn' });
    const old = found(setup);
    const list = stored(setup);
    const template = join(setup.base, 'template');
    cpSync(setup.home, template, { recursive: true, preserveTimestamps: true });
    const fault = new URL('./sync-fault.py', import.meta.url).pathname;
    const seen = { before: 0, between: 0, after: 0 };
    for (let at = 1; ; at += 1) {
      rmSync(setup.home, { recursive: true });
      cpSync(template, setup.home, { recursive: true, preserveTimestamps: true });
      const { code } = await setup.restore(list, ['-I', '-B', fault, 'kill', String(at), setup.runner, 'restore']);
      if (code === 0) break;
      expect(code, `killed at ${at}`).toBe(null);
      const now = found(setup);
      const journalled = existsSync(join(staging(setup), 'journal.json'));
      const isOld = JSON.stringify(now) === JSON.stringify(old);
      const isNew = JSON.stringify(now) === JSON.stringify(NEW);
      expect(isOld || isNew || journalled, `killed at ${at}`).toBe(true);
      seen[isOld ? 'before' : isNew ? 'after' : 'between'] += 1;
      // Between the moves, the next restore completes them also when it cannot reach S3.
      if (journalled) {
        setup.meddle = (_key, _request, response) => {
          response.writeHead(403).end();
          return true;
        };
        expect((await setup.restore(list)).code, `killed at ${at}`).toBe(1);
        expect(found(setup), `killed at ${at}`).toEqual(NEW);
        setup.meddle = () => false;
      }
      expect(await setup.restore(list), `killed at ${at}`).toMatchObject({ code: 0, result: { restored: NAME } });
      expect(found(setup), `killed at ${at}`).toEqual(NEW);
      expect(readdirSync(setup.project).sort(), `killed at ${at}`).toEqual(['checkpoints', 'train.py']);
    }
    expect(found(setup)).toEqual(NEW);
    expect(seen.before).toBeGreaterThan(3);
    expect(seen.between).toBeGreaterThan(1);
  });

  it('between its moves does not make the next one undo what was written since', async () => {
    const setup = await prepared({ 'checkpoints/latest': 'epoch-6' });
    const list = stored(setup);
    const template = join(setup.base, 'template');
    cpSync(setup.home, template, { recursive: true, preserveTimestamps: true });
    const fault = new URL('./sync-fault.py', import.meta.url).pathname;
    for (let at = 1; !existsSync(join(setup.project, 'checkpoints/epoch-7/weights.bin')); at += 1) {
      rmSync(setup.home, { recursive: true });
      cpSync(template, setup.home, { recursive: true, preserveTimestamps: true });
      await setup.restore(list, ['-I', '-B', fault, 'kill', String(at), setup.runner, 'restore']);
    }
    expect(setup.read('checkpoints/latest')).toBe('epoch-6');
    setup.write('checkpoints/latest', 'written by a training');
    const other = setup.checkpoint('other', { 'checkpoints/other.pt': 'o' });
    expect(await setup.restore(other)).toMatchObject({ code: 0, result: { restored: 'other' } });
    expect(setup.read('checkpoints/latest')).toBe('written by a training');
    expect(setup.read('checkpoints/epoch-7/deep/state.json')).toBe('{"step": 7}');
    expect(existsSync(staging(setup))).toBe(false);
  });
});

describe('a list of files', () => {
  const part = (setup: RestoreSetup) => {
    setup.objects.set('x', Buffer.from('x'));
    return { url: setup.url('x'), bytes: 1, md5: md5(Buffer.from('x')) };
  };

  it.each([
    '/etc/cron.d/x',
    '../x',
    'a/../../x',
    'a//b',
    './a',
    'a/.',
    '',
    'a\0b',
    `${'n'.repeat(256)}`,
    '.runctl-restore/x',
    '\ud800',
    7,
  ])('with the path %j is refused, and nothing is fetched', async (path) => {
    const setup = await prepared();
    const files = [{ path, bytes: 1, parts: [part(setup)] }];
    const run = await setup.restore({ version: 1, name: NAME, files });
    expect(run).toMatchObject({ code: 1, result: { error: { name: 'RestoreFailed' } } });
    expect(run.result.error?.message).toMatch(/^the checkpoint has a file whose path is not one in the project$/);
    expect(setup.asked).toHaveLength(1);
    expect(readdirSync(setup.project)).toEqual(['train.py']);
  });

  it.each([
    ['a file twice', (p: object) => [file('a', p), file('a', p)]],
    ['a file that is a folder of another one', (p: object) => [file('a/b', p), file('a', p)]],
    ['no file', () => []],
    ['parts that are not its size', (p: object) => [{ ...file('a', p), bytes: 2 }]],
    ['no parts', (p: object) => [{ ...file('a', p), bytes: 0, parts: [] }]],
    ['a negative size', (p: object) => [{ ...file('a', { ...p, bytes: -1 }), bytes: -1 }]],
    ['an MD5 that is none', (p: object) => [file('a', { ...p, md5: 'X'.repeat(32) })]],
    ['a URL that is none', (p: object) => [file('a', { ...p, url: 'file:///etc/passwd' })]],
    ['something else', () => 'files'],
  ])('with %s is refused', async (_, make) => {
    const setup = await prepared();
    const run = await setup.restore({ version: 1, name: NAME, files: make(part(setup)) });
    expect(run).toMatchObject({ code: 1, result: { error: { name: 'RestoreFailed' } } });
    expect(Object.keys(setup.tree()).filter((name) => !name.startsWith('.runctl-restore'))).toEqual(['train.py']);
  });

  it('that is not the one of the request is refused', async () => {
    const setup = await prepared();
    const list = stored(setup);
    for (const wrong of [
      { ...list, version: 2 },
      { ...list, name: 'another' },
    ]) {
      const { error } = (await setup.restore(wrong, undefined, NAME)).result;
      expect(error?.message).toContain('of another version or another checkpoint');
    }
    const text = JSON.stringify(list);
    setup.meddle = (key, _, response) => {
      if (!key.startsWith('list-')) return false;
      const headers = { 'Content-Range': `bytes 0-${text.length - 1}/${text.length}`, 'Content-Length': text.length };
      response.writeHead(206, headers).end(text.replace('epoch-7', 'epoch-8'));
      return true;
    };
    expect((await setup.restore(list)).result.error?.message).toBe(
      "the list of the checkpoint's files is not the one that the run has checked",
    );
    expect(readdirSync(setup.project)).toEqual(['train.py']);
  });

  const file = (path: string, p: object) => ({ path, bytes: 1, parts: [p] });
});

describe('a project', () => {
  const mayMount = () => {
    try {
      execFileSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'test', '/mnt'], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  };

  it('with a link on the way to a file is left alone, and so is what the link leads to', async () => {
    const setup = await prepared();
    const outside = join(setup.base, 'outside');
    mkdirSync(outside);
    symlinkSync(outside, join(setup.project, 'checkpoints'));
    const run = await setup.restore(stored(setup));
    expect(run.result.error?.message).toBe('checkpoints in the project is a symbolic link: a restore follows none');
    expect(readdirSync(outside)).toEqual([]);
  });

  it('with a link in the place of a file gets the file, and what the link leads to stays', async () => {
    const setup = await prepared({ 'checkpoints/x': '1' });
    const outside = join(setup.base, 'outside');
    writeFileSync(outside, 'epoch-7');
    symlinkSync(outside, join(setup.project, 'checkpoints/latest'));
    expect(await setup.restore(stored(setup))).toMatchObject({ code: 0, result: restored(0) });
    expect(setup.tree()['checkpoints/latest']).toBe('epoch-7');
    expect(readFileSync(outside, 'utf8')).toBe('epoch-7');
  });

  it.each([
    ['a folder in the place of a file', 'checkpoints/latest/x', 'is a folder in the project'],
    ['a file in the place of a folder', 'checkpoints/epoch-7', 'a file stands where'],
    ['a file in the place of the staging', '.runctl-restore', 'take it away'],
  ])('with %s is left alone', async (_, name, message) => {
    const setup = await prepared({ [name]: 'x' });
    const before = setup.tree();
    const run = await setup.restore(stored(setup));
    expect(run).toMatchObject({ code: 1, result: { error: { name: 'RestoreFailed' } } });
    expect(run.result.error?.message).toContain(message);
    expect(setup.tree()).toEqual(before);
  });

  it('that does not exist has no checkpoint restored into it', async () => {
    const setup = await restoreSetup();
    const run = await setup.restore(stored(setup));
    expect(run.result.error?.message).toBe("the project's folder cannot be opened: No such file or directory");
  });

  it.runIf(mayMount()).each([
    ['a disk of its own', ['-t', 'tmpfs', 'runctl-test']],
    ['a folder of the same disk that is mounted there', ['--bind']],
  ])('whose folder of checkpoints is %s has them moved there', async (_, options) => {
    const setup = await prepared({ 'checkpoints/x': '1' });
    const folder = join(setup.project, 'checkpoints');
    const elsewhere = join(setup.base, 'elsewhere');
    mkdirSync(elsewhere);
    execFileSync('mount', options[0] === '--bind' ? [...options, elsewhere, folder] : [...options, folder]);
    try {
      const fault = new URL('./sync-fault.py', import.meta.url).pathname;
      for (let at = 1; found(setup)['checkpoints/latest'] === undefined; at += 4) {
        await setup.restore(stored(setup), ['-I', '-B', fault, 'kill', String(at), setup.runner, 'restore']);
      }
      expect(await setup.restore(stored(setup))).toMatchObject({ code: 0, result: restored(4) });
      expect(found(setup)).toEqual(NEW);
      expect(readdirSync(folder).sort()).toEqual(['epoch-7', 'latest']);
      expect(readdirSync(setup.project).sort()).toEqual(['checkpoints', 'train.py']);
    } finally {
      execFileSync('umount', [folder]);
    }
  });

  it('on a disk that has no room gets nothing, and the disk is as full as before', async () => {
    const setup = await prepared();
    const list = stored(setup);
    const first = list.files[0] as (typeof list.files)[number];
    const huge = { ...first, path: 'huge', bytes: 2 ** 50, parts: [{ ...first.parts[0], bytes: 2 ** 50 }] };
    const run = await setup.restore({ ...list, files: [...list.files, huge] });
    expect(run.result.error).toMatchObject({ name: 'DiskFull', message: expect.stringContaining('needed') });
    expect(readdirSync(setup.project)).toEqual(['train.py']);
  });

  it('on a disk that fills up meanwhile is as before', async () => {
    const setup = await prepared();
    const fault = new URL('./sync-fault.py', import.meta.url).pathname;
    const run = await setup.restore(stored(setup), ['-I', '-B', fault, 'full', '3', setup.runner, 'restore']);
    expect(run.result.error).toMatchObject({ name: 'DiskFull' });
    expect(readdirSync(setup.project)).toEqual(['train.py']);
  });
});
