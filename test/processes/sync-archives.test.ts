import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { DEFAULT_CAPS, verifyArchive } from '../../core/archive/verify.ts';
import { type SyncSetup, treeOf, useSyncSetup } from '../support/instance/sync-setup.ts';
import { archive, block, END, type Entry, pax, tar, tarGz } from '../support/instance/tarball.ts';

const syncSetup = useSyncSetup();
const TRAIN: Entry = { name: 'train.py', data: 'new' };
const LONG = `${'folder/'.repeat(20)}${'n'.repeat(150)}.py`;

async function verified(bytes: Uint8Array): Promise<{ topFolder: string | null }> {
  async function* body() {
    yield bytes;
  }
  return verifyArchive(body(), { caps: DEFAULT_CAPS, capture: { names: [], maxBytes: 0 } });
}

describe('good archives', () => {
  const FILES: Record<string, string> = {
    'train.py': 'print(1)\n',
    'run me.sh': '#!/bin/sh\n',
    '-rf': 'just a name',
    'a+b & c;$(id).txt': 'S3',
    'naïve/日本語.py': 'u',
    [LONG]: 'long',
    'empty.txt': '',
    'big.bin': 'x'.repeat(3_000_000),
  };
  const python = (format: string) => [
    'python3',
    '-c',
    `import tarfile; t = tarfile.open('../code.tar.gz', 'w:gz', format=tarfile.${format}); t.add('.'); t.close()`,
  ];
  const TOOLS: Record<string, string[]> = {
    'tar, GNU format': ['tar', 'czf', '../code.tar.gz', '--format=gnu', '.'],
    'tar, PAX format': ['tar', 'czf', '../code.tar.gz', '--format=posix', '.'],
    bsdtar: ['bsdtar', 'czf', '../code.tar.gz', '.'],
    busybox: ['busybox', 'tar', 'czf', '../code.tar.gz', '.'],
    "Python's tarfile, GNU format": python('GNU_FORMAT'),
    "Python's tarfile, PAX format": python('PAX_FORMAT'),
    'git archive': [
      'sh',
      '-c',
      'git init -q . && git add . && git -c user.name=n -c user.email=e commit -qm c && git archive --format=tar.gz --prefix=top/ -o ../code.tar.gz HEAD && rm -rf .git',
    ],
  };

  function source(instance: SyncSetup): string {
    const folder = join(instance.base, 'source');
    for (const [name, text] of Object.entries(FILES)) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), text);
    }
    chmodSync(join(folder, 'run me.sh'), 0o755);
    return folder;
  }

  for (const [tool, [program, ...words]] of Object.entries(TOOLS)) {
    it(`by ${tool}`, async ({ skip }) => {
      const found = execFileSync('sh', ['-c', `command -v ${program} || true`], { encoding: 'utf8' });
      if (found === '') skip(`${program} is not installed here`);
      const instance = syncSetup();
      const folder = source(instance);
      execFileSync(program as string, words, { cwd: folder });
      const bytes = execFileSync('cat', [join(instance.base, 'code.tar.gz')], { maxBuffer: 1e8 });
      const { topFolder } = await verified(bytes);

      const { code, log } = await instance.sync(bytes, { fields: { strip: topFolder } });

      expect({ code, log }).toMatchObject({ code: 0 });
      expect(instance.tree()).toEqual(treeOf(folder));
      const listing = (where: string) =>
        execFileSync('sh', ['-c', 'find . -type f -executable'], { cwd: where, encoding: 'utf8' });
      expect(listing(instance.project)).toBe('./run me.sh\n');
    });
  }

  const whole = tar([TRAIN, { name: 'a/b', data: 'x'.repeat(5000) }]);
  const odd: Record<string, [Buffer, string | null]> = {
    'of several gzip members': [
      Buffer.concat([gzipSync(whole.subarray(0, 700)), gzipSync(''), gzipSync(whole.subarray(700))]),
      null,
    ],
    'padded with zeros': [
      Buffer.concat([gzipSync(Buffer.concat([whole, Buffer.alloc(9000)])), Buffer.alloc(1000)]),
      null,
    ],
    'with a folder named after its files': [
      tarGz([TRAIN, { name: 'a/b', data: 'x'.repeat(5000) }, { name: 'a', type: '5' }]),
      null,
    ],
    "with a Mac's notes on the top folder": [
      tarGz([
        { name: './._top', data: 'notes' },
        { name: 'top/train.py', data: 'new' },
        { name: 'top/a/b', data: 'x'.repeat(5000) },
      ]),
      'top',
    ],
    'in the V7 form': [
      gzipSync(
        Buffer.concat([
          block({ ...TRAIN, type: '\0' }),
          block({ name: 'a/', type: '\0' }),
          block({ name: 'a/b', data: 'x'.repeat(5000) }),
          END,
        ]),
      ),
      null,
    ],
    'with a global header': [
      tarGz([pax({ comment: 'a'.repeat(40) }, 'g'), TRAIN, { name: 'a/b', data: 'x'.repeat(5000) }]),
      null,
    ],
  };
  for (const [what, [bytes, strip]] of Object.entries(odd)) {
    it(what, async () => {
      const instance = syncSetup();
      expect((await verified(bytes)).topFolder).toBe(strip);

      const { code, log } = await instance.sync(bytes, { fields: { strip } });

      expect({ code, log }).toMatchObject({ code: 0 });
      expect(instance.tree()).toEqual({ 'train.py': 'new', a: '<folder>', 'a/b': 'x'.repeat(5000) });
    });
  }
});

describe('an archive is refused, and changes nothing, when it has', () => {
  const good = tarGz([TRAIN]);
  const bad: Record<string, [Buffer, RegExp]> = {
    'a name that leads out': [tarGz([TRAIN, { name: '../canary', data: 'x' }]), /"\.\.\/canary" leads out/],
    'a name that leads out on a detour': [tarGz([TRAIN, { name: 'a/../../canary', data: 'x' }]), /leads out/],
    'an absolute name': [tarGz([TRAIN, { name: '/tmp/canary', data: 'x' }]), /absolute/],
    'an absolute PAX name': [tarGz([TRAIN, pax({ path: '/tmp/canary' }), { name: 'x', data: 'x' }]), /absolute/],
    'an absolute name under a harmless PAX one': [
      tarGz([TRAIN, pax({ path: 'x' }), { name: '/tmp/canary', data: 'x' }]),
      /absolute/,
    ],
    'a symbolic link': [tarGz([TRAIN, { name: 'l', type: '2', link: '/etc' }]), /"l" is a symbolic link/],
    'a hard link': [tarGz([TRAIN, { name: 'l', type: '1', link: 'train.py' }]), /a hard link/],
    'a device': [tarGz([TRAIN, { name: 'd', type: '3' }]), /a device/],
    'a FIFO': [tarGz([TRAIN, { name: 'f', type: '6' }]), /a FIFO/],
    'a sparse file': [tarGz([TRAIN, pax({ 'GNU.sparse.major': '1' }), { name: 's', data: 'x' }]), /sparse/],
    'an unknown kind of entry': [tarGz([TRAIN, { name: 'q', type: 'q' }]), /unknown kind/],
    'a name twice': [tarGz([TRAIN, { name: './train.py', data: 'x' }]), /"train.py" is in the archive more than once/],
    'a file that is a folder too': [tarGz([TRAIN, { name: 'train.py/x', data: 'x' }]), /as a file and as a folder/],
    'names that differ in case': [
      tarGz([TRAIN, { name: 'Train.PY', data: 'x' }]),
      /"train.py" and "Train.PY" differ only in case/,
    ],
    'folders that differ in case': [
      tarGz([TRAIN, { name: 'a/x', data: 'x' }, { name: 'A/y', data: 'x' }]),
      /differ only in case/,
    ],
    'names that differ in accents': [
      tarGz([TRAIN, { name: '\u00e9', data: 'x' }, { name: 'e\u0301', data: 'x' }]),
      /differ only in case or accents/,
    ],
    'a newline in a name': [tarGz([TRAIN, { name: 'a\nb', data: 'x' }]), /"a\\nb" has control characters/],
    'a name that is not UTF-8': [tarGz([TRAIN, { name: Buffer.from([0x61, 0xff]), data: 'x' }]), /is not UTF-8/],
    'a part too long for a file system': [
      tarGz([TRAIN, pax({ path: 'n'.repeat(256) }), { name: 'n', data: 'x' }]),
      /too long/,
    ],
    'a name too deep': [tarGz([TRAIN, pax({ path: 'd/'.repeat(250) }), { name: 'n', type: '5' }]), /too deep/],
    'two sizes': [tarGz([TRAIN, pax({ size: '1' }), { name: 'x', data: 'xyz' }]), /two sizes/],
    'a folder with content': [tarGz([TRAIN, { name: 'f', type: '5', data: 'x' }]), /folder with content/],
    'a wrong checksum': [tarGz([TRAIN, { name: 'f', checksum: 7 }]), /wrong checksum/],
    'a second archive behind it': [gzipSync(Buffer.concat([tar([TRAIN]), tar([TRAIN])])), /goes on after its end/],
    'a second archive in a member of its own': [Buffer.concat([good, good]), /goes on after its end/],
    'other data behind it': [Buffer.concat([good, Buffer.from('junk')]), /followed by other data/],
    'no gzip around it': [tar([TRAIN]), /not gzip/],
    'its end cut off': [good.subarray(0, -9), /cut off/],
    'its tar cut off': [gzipSync(gunzipSync(good).subarray(0, 514)), /cut off in the middle/],
    'no files': [tarGz([{ name: 'empty/', type: '5' }]), /no files/],
    'nothing at all': [gzipSync(''), /no files/],
    'a file beside the top folder': [
      tarGz([TRAIN, { name: 'top/train.py', data: 'x' }]),
      /not in the archive's top folder/,
    ],
  };
  for (const [what, [bytes, message]] of Object.entries(bad)) {
    it(what, async () => {
      const instance = syncSetup();
      await instance.sync(archive({ 'train.py': 'old' }));
      writeFileSync(join(instance.home, 'canary'), 'alive');
      const strip = what === 'a file beside the top folder' ? 'top' : null;

      const { code, result, log } = await instance.sync(bytes, { fields: { strip } });

      expect(code).toBe(1);
      expect(result.error).toMatchObject({ name: 'ArchiveUnsafe', message: expect.stringMatching(message) });
      expect(log).toContain('ArchiveUnsafe: ');
      expect(instance.tree()).toEqual({ 'train.py': 'old' });
      expect(readdirSync(instance.own).sort()).toEqual(['lock', 'manifest.json']);
      const { '.runctl': _own, ...around } = Object.fromEntries(readdirSync(instance.home).map((name) => [name, true]));
      expect(around).toEqual({ canary: true, digits: true });
      if (strip === null) await expect(verified(bytes), 'the Lambda refuses it as well').rejects.toThrow();
    });
  }
});
