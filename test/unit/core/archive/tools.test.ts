import { execFileSync, spawnSync } from 'node:child_process';
import { createReadStream, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { create } from 'tar';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ArchiveReport, DEFAULT_CAPS, verifyArchive } from '../../../../core/archive/verify.ts';
import { CAPTURE } from './build.ts';

const deep = 'a-folder-with-a-long-name/'.repeat(12);
/** Every name a format has its own way for: 100 bytes, 101, a prefix that fits, one that does not, not ASCII. */
const EVERYTHING: Readonly<Record<string, string>> = {
  'train.py': 'print("hello")\n',
  'runctl.yaml': 'script: train.py\n',
  'empty.txt': '',
  '-dash': 'x',
  ' a space, a "quote" and $(id)': 'x',
  'été/ñandú 漢字 🧪.py': 'x = 1\n',
  '.hidden/.file': 'x',
  '._train.py': 'x',
  [`${'n'.repeat(92)}.py`]: 'x',
  [`${'m'.repeat(150)}.py`]: 'x',
  [`${'ü'.repeat(100)}.py`]: 'x',
  [`${deep}file.py`]: 'x',
  [`${deep}${'l'.repeat(120)}.py`]: 'x',
  'data/large.bin': 'abc'.repeat(100_000),
};
/** What ustar can say: 100 bytes, or a prefix of 155 before them. */
const USTAR_NAMES = [
  'train.py',
  'runctl.yaml',
  'empty.txt',
  '-dash',
  '.hidden/.file',
  'data/large.bin',
  `${'n'.repeat(92)}.py`,
];
const V7_NAMES = USTAR_NAMES.filter((name) => name.length < 90);

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'runctl-tools-'));
  for (const [project, names] of [
    ['everything', Object.keys(EVERYTHING)],
    ['ustar', [...USTAR_NAMES, `${'p'.repeat(90)}/${'q'.repeat(40)}/${'n'.repeat(80)}.py`]],
    ['v7', V7_NAMES],
  ] as const) {
    for (const name of names) {
      const path = join(root, project, name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, EVERYTHING[name] ?? 'x');
    }
    mkdirSync(join(root, project, 'empty folder'));
  }
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** What the project holds, as `verifyArchive` says it. */
function expected(project: string, prefix = ''): [string, number][] {
  const found = execFileSync('find', ['.', '-type', 'f', '-not', '-path', './.git/*', '-printf', '%P\\0%s\\0'], {
    cwd: join(root, project),
    encoding: 'utf8',
  }).split('\0');
  const files: [string, number][] = [];
  for (let index = 0; index + 1 < found.length; index += 2)
    files.push([prefix + found[index], Number(found[index + 1])]);
  return files.sort(byName);
}

function byName([a]: readonly [string, number], [b]: readonly [string, number]): number {
  return a < b ? -1 : 1;
}

async function check(archive: string, project: string, topFolder: string | null): Promise<ArchiveReport> {
  const report = await verifyArchive(createReadStream(archive), { caps: DEFAULT_CAPS, capture: CAPTURE });
  const files = report.files.map(({ name, size }): [string, number] => [name, size]).sort(byName);
  expect(files).toEqual(expected(project, topFolder === null ? '' : `${topFolder}/`));
  expect(report.topFolder).toBe(topFolder);
  expect(Buffer.from(report.captured.get('runctl.yaml') ?? '').toString()).toBe(EVERYTHING['runctl.yaml']);
  return report;
}

function run(program: string, args: readonly string[], environment: NodeJS.ProcessEnv = {}): void {
  execFileSync(program, args, { cwd: root, stdio: 'pipe', env: { ...process.env, LC_ALL: 'C.UTF-8', ...environment } });
}

/** Tools that a machine may lack: their rows are then skipped, and the reason is printed. */
function missing(program: string, from: string): boolean {
  const found = spawnSync(program, ['--help']).error === undefined;
  if (!found) console.info(`skipped: archives made by ${program} (not installed; apt-get install ${from})`);
  return !found;
}
const isGnu = execFileSync('tar', ['--version'], { encoding: 'utf8' }).includes('GNU tar');
if (!isGnu) console.info('skipped: archives made by GNU tar (tar is another one here)');

const FORMATS = [
  ['pax', 'everything'],
  ['gnu', 'everything'],
  ['ustar', 'ustar'],
  ['v7', 'v7'],
] as const;

describe.skipIf(!isGnu)('GNU tar', () => {
  it.each([...FORMATS, ['oldgnu', 'everything'] as const])('--format=%s', async (format, project) => {
    run('tar', ['czf', 'dot.tgz', `--format=${format}`, '-C', project, '.']);
    await check(join(root, 'dot.tgz'), project, null);
    run('tar', ['czf', 'folder.tgz', `--format=${format}`, project]);
    await check(join(root, 'folder.tgz'), project, project);
  });

  it('with the compressors and block sizes of people', async () => {
    run('sh', [
      '-c',
      'tar cf - -b 1 everything | gzip -1 > one.tgz && tar cf - -b 2048 everything | gzip -9n > two.tgz',
    ]);
    await check(join(root, 'one.tgz'), 'everything', 'everything');
    await check(join(root, 'two.tgz'), 'everything', 'everything');
  });

  it('with extended attributes, PAX times and global headers', async () => {
    run('tar', ['czf', 'x.tgz', '--format=pax', '--xattrs', '--acls', '--selinux', '--pax-option=comment=hello', 'v7']);
    await check(join(root, 'x.tgz'), 'v7', 'v7');
  });

  it.each([
    ['a symbolic link', [], 'ArchiveUnsafeEntry'],
    ['a sparse file', ['--sparse'], 'ArchiveUnsafeEntry'],
    ['a sparse file in PAX', ['--sparse', '--format=pax'], 'ArchiveUnsafeEntry'],
    ['a label', ['--label=x', '-h'], 'ArchiveUnsafeEntry'],
    ['an incremental archive', ['--incremental', '-h', '--format=gnu'], 'Archive'],
    ['a path up', ['-P', '-h', '../odd/./../odd'], 'ArchiveUnsafeName'],
  ])('%s is refused', async (what, options, name) => {
    const folder = join(root, 'odd');
    mkdirSync(folder);
    try {
      writeFileSync(join(folder, 'a.py'), 'x');
      if (what.includes('sparse')) run('truncate', ['-s', '10M', 'odd/hole.bin']);
      else symlinkSync('a.py', join(folder, 'link.py'));
      const from = name === 'ArchiveUnsafeName' ? ['-C', 'odd'] : ['odd'];
      run('tar', ['czf', 'odd.tgz', ...from, ...options]);
      const verified = verifyArchive(createReadStream(join(root, 'odd.tgz')), { caps: DEFAULT_CAPS, capture: CAPTURE });
      await expect(verified).rejects.toMatchObject({ name: expect.stringContaining(name) });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('git archive', () => {
  it('with and without a prefix', async () => {
    const git = (...args: string[]) =>
      run('git', ['-C', 'everything', '-c', 'user.name=x', '-c', 'user.email=x@y', ...args]);
    git('init', '-q');
    git('add', '-Af');
    git('commit', '-qm', 'x');
    const commit = execFileSync('git', ['-C', join(root, 'everything'), 'rev-parse', 'HEAD'], {
      encoding: 'utf8',
    }).trim();
    git('archive', '--format=tar.gz', '-o', '../git.tgz', 'HEAD');
    expect((await check(join(root, 'git.tgz'), 'everything', null)).git).toEqual({ commit, dirty: false });
    git('archive', '--format=tar.gz', '--prefix=everything/', '-o', '../git.tgz', 'HEAD');
    expect((await check(join(root, 'git.tgz'), 'everything', 'everything')).git).toEqual({ commit, dirty: false });
    rmSync(join(root, 'everything/.git'), { recursive: true });
  });
});

describe('Python’s tarfile', () => {
  it.each([
    ['PAX_FORMAT', 'everything'],
    ['GNU_FORMAT', 'everything'],
    ['USTAR_FORMAT', 'ustar'],
  ])('%s', async (format, project) => {
    const pack = `
import sys, tarfile
for target, name in (("dot.tgz", "."), ("folder.tgz", sys.argv[2])):
    with tarfile.open(target, "w:gz", format=getattr(tarfile, sys.argv[1])) as archive:
        archive.add(sys.argv[2], arcname=name)
`;
    run('python3', ['-I', '-c', pack, format, project]);
    await check(join(root, 'dot.tgz'), project, null);
    await check(join(root, 'folder.tgz'), project, project);
  });
});

describe('node-tar', () => {
  it.each([true, false])('portable: %s', async (portable) => {
    await create({ gzip: true, file: join(root, 'node.tgz'), cwd: root, portable }, ['everything']);
    await check(join(root, 'node.tgz'), 'everything', 'everything');
    await create({ gzip: true, file: join(root, 'node.tgz'), cwd: join(root, 'everything'), portable }, ['.']);
    await check(join(root, 'node.tgz'), 'everything', null);
  });
});

describe.skipIf(missing('bsdtar', 'libarchive-tools'))('bsdtar', () => {
  it.each([
    ['pax', 'everything'],
    ['restricted pax', 'everything'],
    ['gnutar', 'everything'],
    ['ustar', 'ustar'],
    ['v7', 'v7'],
  ])('--format %s', async (format, project) => {
    const name = format === 'restricted pax' ? [] : ['--format', format];
    run('bsdtar', ['czf', 'dot.tgz', ...name, '-C', project, '.']);
    await check(join(root, 'dot.tgz'), project, null);
    run('bsdtar', ['czf', 'folder.tgz', ...name, project]);
    await check(join(root, 'folder.tgz'), project, project);
  });

  it('in a locale that has no names for our characters', async () => {
    run('bsdtar', ['czf', 'c.tgz', 'everything'], { LC_ALL: 'C' });
    await check(join(root, 'c.tgz'), 'everything', 'everything');
  });
});

describe.skipIf(missing('busybox', 'busybox'))('busybox tar', () => {
  it('packs', async () => {
    run('busybox', ['tar', 'czf', 'busybox.tgz', 'everything']);
    await check(join(root, 'busybox.tgz'), 'everything', 'everything');
  });
});
