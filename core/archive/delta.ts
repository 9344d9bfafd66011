/** A stretch of content: of the base, or new. */
export type Operation =
  | { readonly copy: { readonly offset: number; readonly length: number } }
  | { readonly literal: Buffer };

/** Stretches that are equal are found from this length on. */
const BLOCK_BYTES_MIN = 32;
/** Blocks in the index: a map of more takes much memory. */
const BLOCKS_MAX = 1 << 18;
const PRIME = 0x01000193;

/** Finds stretches of a base in other content, wherever they have moved to: rsync's algorithm with both sides at hand. */
export class DeltaIndex {
  private readonly block: number;
  private readonly blocks = new Map<number, number>();
  /** PRIME to the power of `block - 1`: what the oldest byte of a window is multiplied with. */
  private readonly oldest: number;

  constructor(private readonly base: Buffer) {
    let block = BLOCK_BYTES_MIN;
    while (base.length / block > BLOCKS_MAX) block *= 2;
    this.block = block;
    let power = 1;
    for (let index = 1; index < block; index += 1) power = Math.imul(power, PRIME);
    this.oldest = power;
    for (let at = 0; at + block <= base.length; at += block) {
      const hash = this.hash(base, at);
      if (!this.blocks.has(hash)) this.blocks.set(hash, at);
    }
  }

  /** `content` as stretches of the base and new ones, in order. */
  delta(content: Buffer): Operation[] {
    const operations: Operation[] = [];
    const { block } = this;
    let literalAt = 0;
    let at = 0;
    let hash = content.length >= block ? this.hash(content, 0) : 0;
    while (at + block <= content.length) {
      const found = this.blocks.get(hash);
      if (found !== undefined && content.compare(this.base, found, found + block, at, at + block) === 0) {
        const start = at - this.backwards(content, at, found, literalAt);
        const end = this.forwards(content, at + block, found + block);
        if (start > literalAt) operations.push({ literal: content.subarray(literalAt, start) });
        operations.push({ copy: { offset: found - (at - start), length: end - start } });
        literalAt = end;
        at = end;
        if (at + block <= content.length) hash = this.hash(content, at);
        continue;
      }
      hash = Math.imul(hash - Math.imul(content[at] as number, this.oldest), PRIME) + (content[at + block] ?? 0);
      hash |= 0;
      at += 1;
    }
    if (literalAt < content.length) operations.push({ literal: content.subarray(literalAt) });
    return operations;
  }

  private hash(bytes: Buffer, start: number): number {
    let hash = 0;
    for (let at = start; at < start + this.block; at += 1) hash = (Math.imul(hash, PRIME) + (bytes[at] as number)) | 0;
    return hash;
  }

  /** How many bytes before the two positions are equal, and not used yet. */
  private backwards(content: Buffer, at: number, found: number, literalAt: number): number {
    let count = 0;
    while (at - count > literalAt && found - count > 0 && content[at - count - 1] === this.base[found - count - 1])
      count += 1;
    return count;
  }

  private forwards(content: Buffer, at: number, found: number): number {
    let count = 0;
    while (
      at + count < content.length &&
      found + count < this.base.length &&
      content[at + count] === this.base[found + count]
    )
      count += 1;
    return at + count;
  }
}
