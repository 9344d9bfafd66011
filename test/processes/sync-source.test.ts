import { describe, expect, it } from 'vitest';
import { type ArchiveSource, noteComment } from '../../core/archive/note.ts';
import { useSyncSetup } from '../support/instance/sync-setup.ts';
import { archive, pax, tarGz } from '../support/instance/tarball.ts';

const syncSetup = useSyncSetup();

const OURS = { id: 'github.com/me/nets', label: 'github.com/me/nets' };
const THEIRS = { id: '0123456789abcdef', label: 'folder nets (id 01234567)' };

function archiveFrom(source: ArchiveSource, text: string): Buffer {
  return tarGz([pax({ comment: noteComment({ source }) }, 'g'), { name: 'train.py', data: text }]);
}

describe('a sync of another source to the same project', () => {
  it('is refused before anything is changed, with both names', async () => {
    const instance = syncSetup();
    await instance.sync(archiveFrom(OURS, '1'));
    const { code, result } = await instance.sync(archiveFrom(THEIRS, '2'));
    expect(code).toBe(1);
    expect(result.error).toEqual({
      name: 'ProjectInUse',
      message:
        'The project digits on this instance has the code of "github.com/me/nets", and this archive is from "folder nets (id 01234567)". Nothing was changed.',
    });
    expect(instance.tree()).toEqual({ 'train.py': '1' });
    expect((await instance.sync(archiveFrom(OURS, '3'))).code).toBe(0);
  });

  it('takes the project over when that is allowed, and the first one is the other then', async () => {
    const instance = syncSetup();
    await instance.sync(archiveFrom(OURS, '1'));
    expect((await instance.sync(archiveFrom(THEIRS, '2'), { fields: { takeOver: true } })).code).toBe(0);
    expect((await instance.sync(archiveFrom(THEIRS, '3'))).code).toBe(0);
    expect((await instance.sync(archiveFrom(OURS, '4'))).result.error?.name).toBe('ProjectInUse');
    expect(instance.tree()).toEqual({ 'train.py': '3' });
  });

  it('is not refused when one of the two names no source, and the known source stays', async () => {
    const instance = syncSetup();
    await instance.sync(archive({ 'train.py': '1' }));
    expect((await instance.sync(archiveFrom(OURS, '2'))).code).toBe(0);
    expect((await instance.sync(archive({ 'train.py': '3' }))).code).toBe(0);
    expect((await instance.sync(archiveFrom(THEIRS, '4'))).result.error?.name).toBe('ProjectInUse');
    expect((await instance.sync(archiveFrom(OURS, '5'))).code).toBe(0);
  });

  it.each([{ id: 3, label: 'x' }, { id: 'x' }, { id: 'x'.repeat(1_001), label: 'x' }, 'x', null])(
    'reads a source that is not one as none: %j',
    async (source) => {
      const instance = syncSetup();
      await instance.sync(archiveFrom(OURS, '1'));
      expect((await instance.sync(archiveFrom(source as never, '2'))).code).toBe(0);
    },
  );

  it('shows no control characters of a name', async () => {
    const instance = syncSetup();
    await instance.sync(archiveFrom(OURS, '1'));
    const { result, log } = await instance.sync(archiveFrom({ id: 'x', label: '\u001b[31mred\n' }, '2'));
    expect(result.error?.message).toContain('"\\x1b[31mred\\n"');
    expect(log).not.toContain('\u001b');
  });
});
