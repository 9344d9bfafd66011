import { gunzipSync } from 'node:zlib';
import { COMPRESSOR } from './compress.ts';
import { DeltaIndex, type Operation } from './delta.ts';
import { type Member, memberStarts } from './members.ts';
import { encodePatch, MEMBER_CONTENT_MAX, type PatchHeader, type PatchPart, REBUILT_BYTES_MAX } from './patch.ts';

/** An archive, and how its members are read. */
export interface MemberSource {
  readonly bytes: number;
  readonly members: readonly Member[];
  /** The bytes of a member in the archive; null when only its digest is known. */
  readonly read: ((index: number) => Promise<Buffer>) | null;
}

/** Where the base is. */
export interface PatchBase {
  readonly key: string;
  readonly versionId: string | null;
}

/** New content compresses to about this share of it. */
const LITERAL_SHARE = 0.4;
/** What one operation takes in the compressed header. */
const OPERATION_BYTES = 8;

/** Makes the patch that turns `base` into `next`. */
export async function buildPatch(
  base: MemberSource & PatchBase,
  next: MemberSource & { readonly sha256: string; readonly read: (index: number) => Promise<Buffer> },
): Promise<Buffer> {
  const kept = keptMembers(base.members, next.members);
  const starts = memberStarts(base.members);
  const sources = await readSources(base, starts, new Set(kept.filter((index) => index !== null)));
  const parts: PatchPart[] = [];
  const literals: Buffer[] = [];
  const members: Buffer[] = [];
  for (const [index, from] of kept.entries()) {
    if (from !== null) {
      const start = starts[from] as number;
      keep(parts, start, start + (base.members[from] as Member).bytes);
      continue;
    }
    const bytes = await next.read(index);
    const { content } = next.members[index] as Member;
    const made = sources !== null && content <= MEMBER_CONTENT_MAX ? sources.make(gunzipSync(bytes)) : null;
    if (made !== null && made.cost < bytes.length) {
      parts.push(['make', made.operations]);
      literals.push(...made.literals);
    } else {
      parts.push(['whole', bytes.length]);
      members.push(bytes);
    }
  }
  const header: PatchHeader = {
    compressor: COMPRESSOR,
    base: { key: base.key, versionId: base.versionId, bytes: base.bytes },
    sha256: next.sha256,
    bytes: next.bytes,
    sources: sources?.used ?? [],
    parts,
  };
  return encodePatch({ header, literals: Buffer.concat(literals), members: Buffer.concat(members) });
}

/** For each member the equal one of the base, or null. Of several, the one that follows what was kept before. */
function keptMembers(base: readonly Member[], next: readonly Member[]): (number | null)[] {
  const first = new Map<string, number>();
  for (const [index, { digest }] of base.entries()) if (!first.has(digest)) first.set(digest, index);
  let last = -1;
  return next.map(({ digest, bytes }) => {
    const following = base[last + 1];
    const index = following?.digest === digest ? last + 1 : first.get(digest);
    if (index === undefined || base[index]?.bytes !== bytes) return null;
    last = index;
    return index;
  });
}

function keep(parts: PatchPart[], start: number, end: number): void {
  const last = parts.at(-1);
  if (last?.[0] === 'keep' && last[2] === start) last[2] = end;
  else parts.push(['keep', start, end]);
}

/** Content of members of the base that the archive does not have any more: what has changed or moved came from there. */
class Sources {
  /** As the patch's header lists them. */
  readonly used: PatchHeader['sources'] = [];
  private readonly numbers = new Map<number, number>();
  private readonly index: DeltaIndex;
  /** Where each member's content begins in the index. */
  private readonly starts: number[] = [];

  constructor(
    private readonly base: MemberSource,
    private readonly memberStarts: readonly number[],
    private readonly indexes: readonly number[],
    contents: readonly Buffer[],
  ) {
    let start = 0;
    for (const content of contents) {
      this.starts.push(start);
      start += content.length;
    }
    this.index = new DeltaIndex(Buffer.concat(contents));
  }

  /** @returns the operations that make this content, as the header has them, with about what they cost in a patch */
  make(content: Buffer): { operations: number[]; literals: Buffer[]; cost: number } {
    const operations: number[] = [];
    const literals: Buffer[] = [];
    for (const operation of this.index.delta(content)) {
      if ('literal' in operation) {
        operations.push(-1, 0, operation.literal.length);
        literals.push(operation.literal);
      } else operations.push(...this.split(operation));
    }
    const fresh = literals.reduce((sum, { length }) => sum + length, 0);
    return { operations, literals, cost: fresh * LITERAL_SHARE + (operations.length / 3) * OPERATION_BYTES };
  }

  /** A copy may go on from one member's content into the next one's. */
  private split({ copy }: Extract<Operation, { copy: unknown }>): number[] {
    const operations: number[] = [];
    let { offset, length } = copy;
    let at = this.starts.findLastIndex((start) => start <= offset);
    while (length > 0) {
      const start = this.starts[at] as number;
      const end = this.starts[at + 1] ?? Number.POSITIVE_INFINITY;
      const taken = Math.min(length, end - offset);
      if (taken > 0) operations.push(this.numberOf(this.indexes[at] as number), offset - start, taken);
      offset += taken;
      length -= taken;
      at += 1;
    }
    return operations;
  }

  private numberOf(member: number): number {
    let number = this.numbers.get(member);
    if (number === undefined) {
      number = this.used.length;
      this.numbers.set(member, number);
      const { bytes, content } = this.base.members[member] as Member;
      this.used.push([this.memberStarts[member] as number, bytes, content]);
    }
    return number;
  }
}

async function readSources(
  base: MemberSource,
  starts: readonly number[],
  kept: ReadonlySet<number>,
): Promise<Sources | null> {
  const { read } = base;
  if (read === null) return null;
  const indexes = [...base.members.keys()].filter(
    (index) => !kept.has(index) && (base.members[index] as Member).content <= MEMBER_CONTENT_MAX,
  );
  const all = indexes.reduce((sum, index) => sum + (base.members[index] as Member).content, 0);
  if (all === 0 || all > REBUILT_BYTES_MAX) return null;
  const contents: Buffer[] = [];
  for (const index of indexes) contents.push(gunzipSync(await read(index)));
  return new Sources(base, starts, indexes, contents);
}
