import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { END, file, folder, GNU, gnuLong, header, names, pax, paxRecord, refusal, tgz, V7, verify } from './build.ts';

describe('entry types', () => {
  it.each([
    ['a symbolic link', '2', 'a symbolic link', 'tar -h'],
    ['a hard link', '1', 'a hard link', '--hard-dereference'],
    ['a character device', '3', 'a character device', 'Leave it out'],
    ['a block device', '4', 'a block device', 'Leave it out'],
    ['a FIFO', '6', 'a FIFO', 'Leave it out'],
    ['a contiguous file', '7', 'a contiguous file', 'again'],
    ['GNU sparse', 'S', 'a sparse file', '--sparse'],
    ['GNU multi-volume', 'M', 'multi-volume', '--multi-volume'],
    ['GNU dump folder', 'D', 'incremental', '--incremental'],
    ['GNU old long name', 'N', 'obsolete', 'again'],
    ['a volume label', 'V', 'a volume label', '--label'],
    ['Solaris PAX', 'X', 'unknown type 0x58', 'regular files'],
    ['an ACL', 'A', 'unknown type 0x41', 'regular files'],
    ['unknown', '\x7f', 'unknown type 0x7f', 'regular files'],
  ])('%s is refused', async (_what, type, what, next) => {
    for (const magic of ['ustar\x0000', GNU]) {
      const error = await refusal(tgz(file('good.py'), header({ name: 'odd', type, link: 'train.py', magic })));
      expect(error).toMatchObject({ name: 'ArchiveUnsafeEntry', at: { in: 'tar', byte: 1024 } });
      expect(error.message).toContain(`"odd" is `);
      expect(error.what).toContain(what);
      expect(error.next).toContain(next);
    }
  });

  it('a link with a long target is refused, and so is a file with one', async () => {
    const target = 'x/'.repeat(100);
    const link = { name: 'odd', type: '2', link: 'x' };
    expect((await refusal(tgz(gnuLong(target, 'K'), header(link)))).what).toContain('a symbolic link');
    expect((await refusal(tgz(gnuLong(target, 'K'), gnuLong('odd', 'L'), header(link)))).what).toContain(
      'a symbolic link',
    );
    expect((await refusal(tgz(pax({ linkpath: target }), header(link)))).what).toContain('a symbolic link');
    expect((await refusal(tgz(gnuLong(target, 'K'), file('odd')))).what).toContain('"odd" has the target of a link');
    expect((await refusal(tgz(pax({ linkpath: target }), file('odd')))).name).toBe('ArchiveUnsafeEntry');
  });

  it.each([
    'GNU.sparse.major',
    'GNU.sparse.size',
    'GNU.sparse.name',
    'GNU.sparse.map',
    'SCHILY.realsize',
    'SUN.holesdata',
  ])('PAX sparse by %s is refused', async (key) => {
    const error = await refusal(tgz(pax({ [key]: '1' }), file('odd')));
    expect(error).toMatchObject({ name: 'ArchiveUnsafeEntry', what: 'The entry "odd" is a sparse file' });
  });

  it('folders have no content', async () => {
    const error = await refusal(tgz(folder('d/', { size: 512 }), file('x')));
    expect(error).toMatchObject({
      name: 'ArchiveUnsafeEntry',
      message: expect.stringContaining('content (512 bytes)'),
    });
  });

  it('V7 folders are known by their slash, and only by one that all readers see', async () => {
    const old = { magic: V7, type: '\0' };
    expect(await names(tgz(folder('d/', old), file('d/a', 'x', old)))).toEqual(['d/a']);
    expect((await refusal(tgz(file('a'), pax({ path: 'd/' }), header({ name: 'd', type: '\0' })))).name).toBe(
      'ArchiveUnsafeEntry',
    );
    expect((await refusal(tgz(file('a'), pax({ path: 'd' }), header({ name: 'd/', type: '\0' })))).name).toBe(
      'ArchiveUnsafeEntry',
    );
    expect((await refusal(tgz(folder('d/', { ...old, size: 3 })))).what).toContain('has content');
    expect(await refusal(tgz(file('d/', '')))).toMatchObject({
      name: 'ArchiveUnsafeName',
      message: expect.stringContaining('slash'),
    });
  });
});

describe('numbers', () => {
  it.each([
    ['leading spaces', '       6\0   '],
    ['no end', '00000000006 '],
    ['all digits', '000000000006'],
    ['base 256', Buffer.from([0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6])],
  ])('a size with %s is read', async (_what, size) => {
    expect((await verify(tgz(file('a', '123456', { size })))).files).toEqual([{ name: 'a', size: 6 }]);
  });

  it('owners in base 256 and times before 1970 are fine', async () => {
    const mtime = Buffer.alloc(12, 0xff);
    const owner = { at: 108, bytes: Buffer.from([0x80, 0, 0, 0, 0x49, 0x96, 2, 0xd2]) };
    expect(await names(tgz(file('a', 'x', { mtime, patch: owner })))).toEqual(['a']);
    expect(await names(tgz(file('a', 'x', { mode: '', mtime: '' })))).toEqual(['a']);
  });

  it.each([
    ['letters', '0000000000x\0'],
    ['a minus', '-0000000006\0'],
    ['an eight', '00000000008\0'],
    ['a number after a space', '6 6\0'],
    ['an odd first byte', Buffer.from([0x81, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6])],
  ])('a size with %s is damaged', async (_what, size) => {
    const error = await refusal(tgz(file('good.py'), file('a', '123456', { size })));
    expect(error).toMatchObject({ name: 'ArchiveCorrupt', at: { in: 'tar', byte: 1024 } });
    expect(error.message).toContain('after "good.py" has a damaged number (size)');
  });

  it.each([
    ['mode', 100],
    ['owner', 108],
    ['group', 116],
    ['time', 136],
    ['device', 329],
    ['device', 337],
  ])('a damaged %s is refused: Python’s tarfile would stop there', async (field, at) => {
    const error = await refusal(tgz(file('a', 'x', { patch: { at, bytes: Buffer.from('oops') } })));
    expect(error).toMatchObject({ name: 'ArchiveCorrupt', message: expect.stringContaining(`number (${field})`) });
  });

  it('a negative size is refused', async () => {
    const size = Buffer.alloc(12, 0xff);
    expect(await refusal(tgz(file('a', 'x', { size })))).toMatchObject({
      name: 'ArchiveUnsafeEntry',
      message: expect.stringContaining('negative size'),
    });
    expect((await refusal(tgz(pax({ size: '-1' }), file('a')))).name).toBe('ArchiveCorrupt');
    expect((await refusal(tgz(header({ type: 'x', size }), file('a')))).name).toBe('ArchiveTooLarge');
  });

  it('a size beyond every number is too large', async () => {
    const size = Buffer.concat([Buffer.from([0x80]), Buffer.alloc(11, 0xff)]);
    for (const type of ['0', 'x', 'g', 'L']) {
      expect((await refusal(tgz(header({ name: 'a', type, size })))).name).toBe('ArchiveTooLarge');
    }
  });

  it('checksums are checked; sums of signed bytes, as some old programs made them, count', async () => {
    const wrong = await refusal(tgz(file('good.py'), file('a', 'x', { checksum: '001234\0 ' })));
    expect(wrong).toMatchObject({ name: 'ArchiveCorrupt', at: { in: 'tar', byte: 1024 } });
    expect(wrong.message).toContain('The header after "good.py" has a wrong checksum');
    const block = header({ name: 'é', size: 0 });
    let sum = 8 * 32;
    for (const [at, byte] of block.entries()) if (at < 148 || at > 155) sum += byte > 127 ? byte - 256 : byte;
    const checksum = `${sum.toString(8).padStart(6, '0')}\0 `;
    expect(await names(tgz(header({ name: 'é', size: 0, checksum })))).toEqual(['é']);
  });
});

describe('PAX headers', () => {
  it('with anything harmless in them are fine', async () => {
    const records = {
      mtime: '1700000000.5',
      'SCHILY.xattr.user.x': Buffer.from([0, 255, 10, 61]),
      comment: 'a=b',
      uid: '12345678901',
    };
    expect(await names(tgz(pax(records), file('a')))).toEqual(['a']);
    expect(await names(tgz(pax({}), file('a')))).toEqual(['a']);
    expect(await names(tgz(pax({ hdrcharset: 'BINARY', path: 'é' }), file('a')))).toEqual(['é']);
  });

  it.each([
    ['no length', 'path=x\n'],
    ['a length of 0', '0 path=x\n'],
    ['a length with a 0 before it', '011 path=xy\n'],
    ['a length that is too short', '5 path=x\n'],
    ['a length that is too long', '99 path=x\n'],
    ['a length that ends in the key', '4 a=b\n'],
    ['a length without end', `${'1'.repeat(40)} path=x\n`],
    ['a signed length', '+10 path=x\n'],
    ['no newline', '9 path=xy'],
    ['no key', '5 =x\n'],
    ['no equals sign', '7 path\n'],
    ['NUL after its records', `${paxRecord('path', 'x')}\0\0\0`],
    ['a newline in the key', '12 pa\nth=xy\n'],
    ['a key twice', `${paxRecord('path', 'good')}${paxRecord('path', 'bad')}`],
    ['an unknown charset', `${paxRecord('hdrcharset', 'EBCDIC')}`],
  ])('with %s are refused', async (_what, body) => {
    expect((await refusal(tgz(file('good.py'), pax(Buffer.from(body)), file('a')))).name).toBe('ArchiveCorrupt');
  });

  it.each([
    ['another size', '5'],
    ['size 0', '0'],
    ['no number', '6x'],
    ['a hexadecimal number', '0x6'],
    ['nothing', ''],
  ])('whose size disagrees with the header’s are refused (%s)', async (_what, size) => {
    const error = await refusal(tgz(pax({ size }), file('a', '123456')));
    expect(error).toMatchObject({
      name: 'ArchiveCorrupt',
      message: expect.stringContaining('two sizes: 6 in its header'),
    });
  });

  it('may say the size again; one over 8 GiB stands there only, and is too large', async () => {
    expect(await names(tgz(pax({ size: '6' }), file('a', '123456')))).toEqual(['a']);
    const huge = await refusal(tgz(pax({ size: String(8 ** 11) }), header({ name: 'a', size: 0 })));
    const raised = { expandedBytes: 2 ** 40 };
    const cut = await refusal(tgz(pax({ size: String(8 ** 11) }), header({ name: 'a', size: 0 })), raised);
    expect(cut).toMatchObject({ name: 'ArchiveTruncated', message: expect.stringContaining('in the middle of "a"') });
    expect((await refusal(tgz(pax({ size: String(8 ** 11) }), file('a', '123456')), raised)).name).toBe(
      'ArchiveCorrupt',
    );
    expect(huge).toMatchObject({ name: 'ArchiveTooLarge', message: expect.stringContaining('"a" (8.0 GiB)') });
  });

  it.each([
    ['two of one kind', [pax({ path: 'x' }), pax({ path: 'y' })]],
    ['two GNU long names', [gnuLong('x'), gnuLong('y')]],
    ['PAX and GNU names together', [pax({ path: 'x' }), gnuLong('y')]],
    ['a global one in between', [pax({ path: 'x' }), pax({ comment: 'y' }, 'g')]],
  ])('%s before one entry are refused', async (_what, extensions) => {
    expect((await refusal(tgz(...extensions, file('a')))).name).toBe('ArchiveCorrupt');
  });

  it('without an entry after them are refused', async () => {
    for (const extension of [pax({ path: 'x' }), gnuLong('x'), pax({ comment: 'x' }, 'g')]) {
      const error = await refusal(tgz(file('good.py'), extension));
      expect(error).toMatchObject({
        name: 'ArchiveCorrupt',
        message: expect.stringContaining('an entry is missing'),
      });
    }
  });

  it('that go on after their end are refused: Python’s tarfile reads on', async () => {
    for (const extension of [pax({ path: 'good.py' }), gnuLong('good.py')]) {
      const longer = Buffer.from(extension);
      longer.write('x', 1000);
      const error = await refusal(tgz(longer, file('a')));
      expect(error).toMatchObject({
        name: 'ArchiveCorrupt',
        message: expect.stringContaining('goes on after its end'),
      });
    }
  });

  it('speak about one entry only', async () => {
    expect(await names(tgz(pax({ path: 'x' }), file('a'), file('b')))).toEqual(['x', 'b']);
  });

  it('over the cap are refused, by the name of the cap', async () => {
    const error = await refusal(tgz(pax({ comment: 'x'.repeat(5000) }), file('a')), { headerBytes: 4096 });
    expect(error).toMatchObject({ name: 'ArchiveTooLarge', message: expect.stringContaining('`headerBytes`') });
    expect((await refusal(tgz(gnuLong('x'.repeat(5000)), file('a')), { headerBytes: 4096 })).name).toBe(
      'ArchiveTooLarge',
    );
  });

  it('of git archive name the commit', async () => {
    const commit = '0123456789abcdef0123456789abcdef01234567';
    expect((await verify(tgz(pax({ comment: commit }, 'g'), file('p/a')))).gitCommit).toBe(commit);
    expect((await verify(tgz(pax({ comment: `${commit}0` }, 'g'), file('p/a')))).gitCommit).toBe(null);
  });

  it.each(['path', 'size', 'linkpath', 'hdrcharset', 'GNU.sparse.major'])(
    'that set %s for all entries are refused',
    async (key) => {
      expect(await refusal(tgz(pax({ [key]: '6' }, 'g'), file('a')))).toMatchObject({
        name: 'ArchiveCorrupt',
        message: expect.stringContaining(`sets \`${key}\``),
      });
    },
  );
});

describe('what is not a tar', () => {
  it.each([
    ['a script', Buffer.from('print("hello")\n'), 'text ("print(\\"hello\\")\\n"…)'],
    ['a long text', Buffer.from('hello '.repeat(1000)), 'text'],
    ['a gzip file', Buffer.concat([tgz(file('a')), Buffer.alloc(600)]), 'it was compressed twice'],
    ['a zip file', Buffer.concat([Buffer.from('PK\x03\x04'), Buffer.alloc(600, 1)]), 'a zip file'],
    [
      'a tar with a damaged first header',
      file('a', 'x', { checksum: '000000\0 ' }),
      'first header has a wrong checksum',
    ],
  ])('%s in the gzip file is refused', async (_what, content, said) => {
    const error = await refusal(gzipSync(content));
    expect(error.name).toBe('ArchiveNotTar');
    expect(error.message).toContain(said);
  });

  it('an unknown format is refused, and a name field that can be read in two ways', async () => {
    expect((await refusal(tgz(file('good.py'), file('a', 'x', { magic: 'USTAR\x0000' })))).message).toContain(
      'format mark',
    );
    const incremental = { magic: GNU, patch: { at: 345, bytes: Buffer.from('14707372640') } };
    expect((await refusal(tgz(file('a', 'x', incremental)))).message).toContain('read in two ways');
  });

  it.each([
    ['nothing in the gzip file', gzipSync('')],
    ['end marks only', gzipSync(END)],
    ['folders only', tgz(folder('./'), folder('a/'))],
    ['a global header only', tgz(pax({ comment: 'x' }, 'g'))],
    ['only a Mac’s metadata of the folder', tgz(folder('p/'), file('._p'))],
  ])('%s is an empty archive', async (_what, body) => {
    expect((await refusal(body)).name).toBe('ArchiveEmpty');
  });
});

describe('a tar that was cut off', () => {
  const parts = [pax({ path: 'first.py' }), file('first.py', 'x'.repeat(700)), folder('d/'), file('d/second.py')];
  const whole = Buffer.concat(parts);

  it('at any block is refused, and says where', async () => {
    for (let length = 512; length <= whole.length; length += 512) {
      const error = await refusal(gzipSync(whole.subarray(0, length)));
      expect([length, error.name]).toEqual([length, 'ArchiveTruncated']);
      expect(error.at).toEqual({ in: 'tar', byte: length });
    }
    expect((await refusal(gzipSync(whole.subarray(0, 1024 + 512 + 300)))).message).toContain(
      'in the middle of "first.py"',
    );
    expect((await refusal(gzipSync(whole))).message).toContain('after "d/second.py", without its end mark');
    expect((await refusal(gzipSync(whole.subarray(0, -1)))).message).toContain('in the middle of "d/second.py"');
    expect((await refusal(gzipSync(Buffer.concat([whole, Buffer.alloc(100)])))).name).toBe('ArchiveTruncated');
  });

  it('after its first block of zeros is whole', async () => {
    for (const zeros of [512, 513, 1023, 1024, 10_240]) {
      expect(await names(gzipSync(Buffer.concat([whole, Buffer.alloc(zeros)])))).toEqual(['first.py', 'd/second.py']);
    }
  });
});

describe('captured files', () => {
  it('are those at the top, or in the single top folder', async () => {
    const captured = async (...parts: Buffer[]) =>
      Object.fromEntries(
        [...(await verify(tgz(...parts))).captured].map(([name, bytes]) => [name, Buffer.from(bytes).toString()]),
      );
    const yaml = 'script: a.py\n';
    expect(await captured(file('./runctl.yaml', yaml), file('a.py'))).toEqual({ 'runctl.yaml': yaml });
    expect(await captured(file('p/runctl.yaml', yaml), file('p/pyproject.toml', ''))).toEqual({
      'runctl.yaml': yaml,
      'pyproject.toml': '',
    });
    expect(await captured(file('p/runctl.yaml', yaml), file('b.py'))).toEqual({});
    expect(await captured(file('a/runctl.yaml', 'a'), file('b/runctl.yaml', 'b'), file('runctl.yaml', yaml))).toEqual({
      'runctl.yaml': yaml,
    });
    expect(await captured(file('p/q/runctl.yaml', yaml))).toEqual({});
    expect(await captured(file('._p'), file('p/runctl.yaml', yaml))).toEqual({ 'runctl.yaml': yaml });
  });

  it('over their cap are refused, where they count', async () => {
    const large = 'x'.repeat(1025);
    const error = await refusal(tgz(file('p/runctl.yaml', large)));
    expect(error).toMatchObject({
      name: 'ArchiveTooLarge',
      message: expect.stringContaining('"runctl.yaml" has 1.0 KiB'),
    });
    expect(await names(tgz(file('p/runctl.yaml', large), file('a.py')))).toHaveLength(2);
    expect((await verify(tgz(file('runctl.yaml', 'x'.repeat(1024))))).captured.get('runctl.yaml')).toHaveLength(1024);
  });
});
