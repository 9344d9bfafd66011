import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { checksum, END, file, folder, GNU, gnuLong, names, pax, refusal, tgz, USTAR, V7, verify } from './build.ts';

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
  });

  it.each([
    ['times of incremental archives', GNU, 345],
    ['a sparse map', GNU, 386],
    ['anything', V7, 345],
    ['the mark of star', USTAR, 508],
  ])('%s in a file’s header: readers differ', async (_what, magic, at) => {
    const odd = file('a', 'x', { magic, patch: { at, bytes: Buffer.from('tar') } });
    expect(await refusal(tgz(odd))).toMatchObject({
      name: 'ArchiveCorrupt',
      message: expect.stringContaining('"a" has fields that readers understand differently'),
    });
    const long = gnuLong('long.py');
    long.write('x', 400);
    long.write(checksum(long.subarray(0, 512)), 148);
    expect((await refusal(tgz(long, file('a')))).message).toContain('readers understand differently');
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
    expect(await captured(file('runctl.yaml/q/a', yaml), file('b.py'))).toEqual({});
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
