import { describe, expect, it } from 'vitest';
import { file, folder, GNU, gnuLong, header, names, pax, refusal, tgz, V7, verify } from './build.ts';

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
    ['a number after NUL', '6\x006'],
    ['NUL before it', '\x00000000006\0'],
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
