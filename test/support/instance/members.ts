import { createHash } from 'node:crypto';
import { encodeIndex } from '../../../core/archive/archive-index.ts';
import { compressMember } from '../../../core/archive/compress.ts';
import { memberDigest } from '../../../core/archive/members.ts';
import { block, END } from './tarball.ts';

export interface MemberArchive {
  readonly bytes: Buffer;
  readonly index: Buffer;
  /** Lengths of the members. */
  readonly members: readonly number[];
}

/** An archive with a member for each file, and its index. */
export function memberArchive(files: Readonly<Record<string, string | Uint8Array>>): MemberArchive {
  const contents = [...Object.entries(files).map(([name, data]) => block({ name, data })), END];
  const members = contents.map(compressMember);
  const bytes = Buffer.concat(members);
  const index = encodeIndex({
    key: 'archives/digits/a.tar.gz',
    versionId: 'v',
    sha256: createHash('sha256').update(bytes).digest('hex'),
    bytes: bytes.length,
    members: members.map((member, at) => ({
      bytes: member.length,
      content: contents[at]?.length ?? 0,
      digest: memberDigest(member),
    })),
  });
  return { bytes, index, members: members.map(({ length }) => length) };
}
