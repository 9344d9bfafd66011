import { describe, expect, it } from 'vitest';
import { file, gnuLong, header, names, pax, paxRecord, refusal, tgz, verify } from './build.ts';

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
    ['no length', 'path=x\n', 'without a length'],
    ['a length of 0', '0 path=x\n', 'without a length'],
    ['a length with a 0 before it', '011 path=x\n', 'without a length'],
    ['a length that is too short', '5 path=x\n', 'damaged record'],
    ['a length that is too long', '99 path=x\n', 'length is wrong'],
    ['a length that ends in the key', '4 a=b\n', 'damaged record'],
    ['a length without end', `${'1'.repeat(40)} path=x\n`, 'without a length'],
    ['a signed length', '+10 path=x\n', 'without a length'],
    ['no newline', '9 path=xy', 'damaged record'],
    ['no key', '5 =x\n', 'damaged record'],
    ['no equals sign', '7 path\n', 'damaged record'],
    ['NUL after its records', `${paxRecord('path', 'x')}\0\0\0`, 'without a length'],
    ['a newline in the key', '12 pa\nth=xy\n', 'damaged key'],
    ['a key twice', `${paxRecord('path', 'good')}${paxRecord('path', 'bad')}`, 'two records `path`'],
    ['an unknown charset', `${paxRecord('hdrcharset', 'EBCDIC')}`, 'unknown charset'],
  ])('with %s are refused', async (_what, body, said) => {
    const error = await refusal(tgz(file('good.py'), pax(Buffer.from(body)), file('a')));
    expect(error.name).toBe('ArchiveCorrupt');
    expect(error.message).toContain(said);
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
    expect((await verify(tgz(pax({ comment: commit }, 'g'), file('p/a')))).git).toEqual({ commit, dirty: false });
    const dirty = pax({ comment: `${commit}-dirty` }, 'g');
    expect((await verify(tgz(dirty, file('p/a')))).git).toEqual({ commit, dirty: true });
    expect((await verify(tgz(pax({ comment: `${commit}0` }, 'g'), file('p/a')))).git).toBe(null);
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
