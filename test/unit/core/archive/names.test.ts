import { describe, expect, it } from 'vitest';
import { file, folder, GNU, gnuLong, names, pax, refusal, tgz, V7, verify } from './build.ts';

const long = `${'folder/'.repeat(20)}file.py`;

describe('names that are fine', () => {
  it.each([
    ['a leading dash', '-rf'],
    ['spaces and quotes', ' a "b" \'c\' $(id); `x` '],
    ['unicode', 'été/ñandú 漢字 🧪.py'],
    ['joined emoji', '👩‍💻.py'],
    ['a Mac’s metadata', '._train.py'],
    ['dots', '...'],
    ['dots in parts', '..a/b..c/d..'],
    ['a colon', 'log 12:30.txt'],
    ['a tilde', '~root/x'],
    ['255 bytes in a part', `${'n'.repeat(255)}.d/x`.replace('.d', '')],
    ['a percent sign and braces', '%2e%2e/{{ x }}'],
  ])('%s', async (_what, name) => {
    expect(await names(tgz(pax({ path: name }), file('short')))).toEqual([name]);
    if (Buffer.byteLength(name) <= 100) expect(await names(tgz(file(name)))).toEqual([name]);
  });

  it('lose `.` parts and doubled slashes', async () => {
    const body = tgz(folder('./'), folder('.'), folder('./src//'), file('./src//./a.py'), file('b.py'));
    expect(await names(body)).toEqual(['src/a.py', 'b.py']);
  });

  it('are read from every field that may hold them', async () => {
    expect(await names(tgz(file('b.py', 'x', { prefix: 'very/deep' })))).toEqual(['very/deep/b.py']);
    expect(await names(tgz(file('n'.repeat(100), 'x', { prefix: 'p'.repeat(155) })))).toEqual([
      `${'p'.repeat(155)}/${'n'.repeat(100)}`,
    ]);
    expect(await names(tgz(gnuLong(long), file(long.slice(0, 100), 'x', { magic: GNU })))).toEqual([long]);
    expect(await names(tgz(pax({ path: long }), file(long.slice(0, 100))))).toEqual([long]);
    expect(await names(tgz(pax({ path: 'é.py' }), file('?.py')))).toEqual(['é.py']);
    expect(await names(tgz(file('old.py', 'x', { magic: V7 })))).toEqual(['old.py']);
    expect(await names(tgz(file('nul.py\0garbage after the end')))).toEqual(['nul.py']);
  });

  it('may be cut in the middle of a character, or before two dots, in the header of a long name', async () => {
    const cut = `${'é'.repeat(60)}.py`;
    expect(await names(tgz(pax({ path: cut }), file(Buffer.from(cut).subarray(0, 99))))).toEqual([cut]);
    const dots = `${'a'.repeat(97)}/..hidden`;
    expect(await names(tgz(gnuLong(dots), file(dots.slice(0, 100), 'x', { magic: GNU })))).toEqual([dots]);
  });
});

describe('names that are refused', () => {
  const rows: readonly [what: string, name: string | Buffer, said: string][] = [
    ['..', '..', 'leaves its folder'],
    ['../x', '../x', 'leaves its folder'],
    ['a/../../b', 'a/../../b', 'leaves its folder'],
    ['.. inside, though harmless', 'a/../b', 'leaves its folder'],
    ['.. at the end', 'a/..', 'leaves its folder'],
    ['absolute', '/etc/passwd', 'is absolute'],
    ['only a slash', '/', 'is absolute'],
    ['two slashes', '//x', 'is absolute'],
    ['a backslash', 'a\\b.py', 'backslash'],
    ['a Windows path up', '..\\..\\x', 'backslash'],
    ['a drive', 'C:/x.py', 'drive letter'],
    ['a drive without a slash', './c:x.py', 'drive letter'],
    ['a newline', 'a\nb.py', '"a\\nb.py" has a control character'],
    ['an escape sequence', '\x1b[2Ja', '"\\x1b[2Ja" has a control character'],
    ['DEL', 'a\x7f', 'control character'],
    ['a C1 control character', 'a\x85b', 'control character'],
    ['a line separator', 'a\u2028b', '"a\\u{2028}b" has a control character'],
    ['a turned direction', 'a\u202eyp.exe', 'control character'],
    ['not UTF-8', Buffer.from([0x61, 0xff, 0x2e]), '"a\\xff." is not UTF-8'],
    ['a surrogate', Buffer.from([0xed, 0xa0, 0x80]), 'is not UTF-8'],
    ['an overlong form of /', Buffer.from([0x2e, 0x2e, 0xc0, 0xaf]), 'is not UTF-8'],
  ];
  it.each(rows)('%s', async (_what, name, said) => {
    for (const body of [
      tgz(file('good.py'), file(name)),
      tgz(file('good.py'), pax({ path: name }), file('short')),
      tgz(file('good.py'), gnuLong(name), file('short', 'x', { magic: GNU })),
      tgz(file('good.py'), pax({ path: name }), folder('short')),
    ]) {
      const error = await refusal(body);
      expect(error.name).toBe('ArchiveUnsafeName');
      expect(error.message).toContain(said);
      expect(error.message).toMatch(/^[^\p{Cc}\u202e\u2028]*$/u);
      expect(error.next).toContain('tar czf');
    }
  });

  it('a prefix that leaves the folder', async () => {
    expect((await refusal(tgz(file('x', 'x', { prefix: '..' })))).message).toContain('"../x"');
    expect((await refusal(tgz(file('x', 'x', { prefix: '/' })))).message).toContain('is absolute');
  });

  it('no name at all', async () => {
    expect((await refusal(tgz(file('')))).message).toContain('is empty');
    expect((await refusal(tgz(file('.')))).message).toContain('has no name');
    expect((await refusal(tgz(pax({ path: '' }), file('x')))).message).toContain('is empty');
    expect((await refusal(tgz(gnuLong(''), file('x')))).message).toContain('is empty');
  });

  it('NUL inside', async () => {
    expect((await refusal(tgz(pax({ path: 'a\0b' }), file('a')))).name).toBe('ArchiveUnsafeName');
    expect(await refusal(tgz(gnuLong('a\0/../b'), file('a')))).toMatchObject({
      name: 'ArchiveCorrupt',
      message: expect.stringContaining('goes on after its end'),
    });
  });

  it('too long, too deep, and says how much is allowed', async () => {
    const part = await refusal(tgz(pax({ path: 'n'.repeat(256) }), file('n')));
    expect(part).toMatchObject({ name: 'ArchiveUnsafeName', message: expect.stringContaining('more than 255 bytes') });
    const name = await refusal(tgz(pax({ path: 'nn/'.repeat(400) }), file('n')));
    expect(name).toMatchObject({ name: 'ArchiveTooLarge', message: expect.stringContaining('`nameBytes`') });
    expect(name.message.length).toBeLessThan(500);
    const deep = await refusal(tgz(pax({ path: `${'d/'.repeat(5000)}x` }), file('n')), { nameBytes: 20_000 });
    expect(deep).toMatchObject({ name: 'ArchiveTooLarge', message: expect.stringContaining('5001 folders deep') });
    expect((await verify(tgz(file(`${'d/'.repeat(4)}x`)), { depth: 5 })).files).toHaveLength(1);
    expect((await refusal(tgz(file(`${'d/'.repeat(5)}x`)), { depth: 5 })).message).toContain('6 folders deep');
    const exact = `${`${'p'.repeat(200)}/`.repeat(5)}${'x'.repeat(19)}`;
    expect(await names(tgz(pax({ path: exact }), file('n')))).toEqual([exact]);
    expect((await refusal(tgz(pax({ path: `${exact}y` }), file('n')))).message).toContain('1025 bytes');
  });

  it('a dangerous second name in the header of a long one', async () => {
    for (const own of ['../x', '/etc/passwd', 'a\nb', 'a\\b', 'C:/x', '..']) {
      for (const extension of [pax({ path: 'good.py' }), gnuLong('good.py')]) {
        const error = await refusal(tgz(extension, file(own)));
        expect(error.name).toBe('ArchiveUnsafeName');
        expect(error.message).toContain('"good.py" has a second name in its header');
      }
    }
    const prefixed = await refusal(tgz(pax({ path: 'good.py' }), file('x', 'x', { prefix: '..' })));
    expect(prefixed.message).toContain('"../x"');
  });
});

describe('names that meet', () => {
  const rows: readonly [what: string, first: Buffer, second: Buffer, said: string][] = [
    ['a file twice', file('a.py'), file('a.py'), '"a.py" is there twice'],
    ['a file twice, written differently', file('./s/a.py'), file('s//a.py'), '"s/a.py" is there twice'],
    ['a file twice, by PAX', file('a.py'), Buffer.concat([pax({ path: 'a.py' }), file('b.py')]), 'is there twice'],
    ['a folder twice', folder('d/'), folder('d'), '"d" is there twice'],
    ['case', file('Train.py'), file('train.py'), '"Train.py", differ only in case'],
    ['case of a folder', file('Src/a.py'), file('src/b.py'), '"Src", differ only in case'],
    ['case beyond ASCII', file('É.py'), file('é.py'), 'differ only in case'],
    ['case that folds to two letters', file('straße'), file('STRASSE'), 'differ only in case'],
    ['a capital that folds to two letters', file('STRAẞE'), file('strasse'), 'differ only in case'],
    ['final sigma', file('ΟΔΟΣ'), file('οδος'), 'differ only in case'],
    ['the kelvin sign', file('\u212a'), file('k'), 'differ only in case'],
    ['Unicode form', file('\u00e9.py'), file('e\u0301.py'), 'Unicode form'],
    ['a file that is a folder', file('a'), file('a/b'), '"a" is both'],
    ['a folder that is a file', file('a/b'), file('a'), '"a" is both'],
    ['a named folder that is a file', folder('a/'), file('a'), '"a" is both'],
    ['a file, then a folder', file('a'), folder('a/'), '"a" is both'],
    ['a file deep down', file('a/b/c'), file('a/b/c/d/e'), '"a/b/c" is both'],
  ];
  it.each(rows)('%s: refused', async (_what, first, second, said) => {
    const error = await refusal(tgz(first, second));
    expect(error.name).toBe('ArchiveDuplicateName');
    expect(error.message).toContain(said);
    expect(error.at).toMatchObject({ in: 'tar' });
  });

  it('an implied folder may be named once', async () => {
    expect(await names(tgz(file('a/b'), folder('a')))).toEqual(['a/b']);
    expect((await refusal(tgz(file('a/b'), folder('a'), folder('a/')))).message).toContain('"a" is there twice');
  });

  it('are no trouble when they differ', async () => {
    const body = tgz(file('a/b'), folder('a'), folder('a/c/'), file('a/c/b'), file('ab'), file('a1/b'), file('1'));
    expect(await names(body)).toEqual(['a/b', 'a/c/b', 'ab', 'a1/b', '1']);
  });
});

describe('the single top folder', () => {
  it.each([
    ['everything in one', [folder('p/'), file('p/a'), file('p/s/b')], 'p'],
    ['implied', [file('p/a'), file('p/s/b')], 'p'],
    ['under ./', [folder('./'), folder('./p/'), file('./p/a')], 'p'],
    ['a file beside it', [file('p/a'), file('b')], null],
    ['two folders', [file('p/a'), file('q/a')], null],
    ['an empty folder beside it', [file('p/a'), folder('q/')], null],
    ['one file only', [file('train.py')], null],
    ['somebody else’s Mac metadata', [file('p/a'), file('._q')], null],
    ['a folder named as Mac metadata', [file('p/a'), file('._p/x')], null],
  ])('%s', async (_what, parts, topFolder) => {
    expect((await verify(tgz(...parts))).topFolder).toBe(topFolder);
  });

  it('is not hidden by a Mac’s metadata of itself, which then is no file of the project', async () => {
    const report = await verify(tgz(file('._p'), folder('p/'), file('p/._a'), file('p/a')));
    expect(report).toMatchObject({ topFolder: 'p', files: [{ name: 'p/._a' }, { name: 'p/a' }] });
  });
});
