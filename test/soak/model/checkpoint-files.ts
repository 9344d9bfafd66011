import type { Random } from '../random.ts';

/** One save of a training. Times in ms since the start of its process. */
export interface Save {
  readonly name: string;
  /** Its bytes: no two saves have the same. */
  readonly content: string;
  readonly at: number;
  /** `renamed`: written under a temporary name first. `in-place`: written into the file itself, over what was there. */
  readonly how: 'renamed' | 'in-place';
  /** That writing takes. */
  readonly lasts: number;
  /** When rotation removes it; infinite: never. */
  readonly removedAt: number;
}

/** A checkpoint on the disk of the instance at one moment. */
export interface SavedFile {
  readonly save: Save;
  /** Its format ends as it should. */
  readonly isWhole: boolean;
  /** Of its last change, ms since the start of the process. */
  readonly changedAt: number;
}

/** The checkpoints that a process has on the disk, by name. @param now ms since its start, or when it ended */
export function filesAt(saves: readonly Save[], now: number): Map<string, SavedFile> {
  const files = new Map<string, SavedFile>();
  for (const save of saves) {
    const isWhole = now >= save.at + save.lasts;
    const isThere = save.how === 'in-place' ? now >= save.at : isWhole;
    if (isThere) files.set(save.name, { save, isWhole, changedAt: Math.min(now, save.at + save.lasts) });
    if (now >= save.removedAt && files.get(save.name)?.save === save) files.delete(save.name);
  }
  return files;
}

/** A whole file without tensors (https://github.com/huggingface/safetensors#format). Its header is ASCII, below 128 bytes. */
function safetensors(text: string): string {
  const header = JSON.stringify({ __metadata__: { text } });
  return `${String.fromCharCode(header.length)}${'\0'.repeat(7)}${header}`;
}

/** Names that differ in numbers are a series that rotates; others are written again and again. @param before epochs before the first */
export function drawSaves(random: Random, lasts: number, before: number): Save[] {
  if (random.chance(0.4)) return [];
  const every = random.spread(3_000, 300_000);
  const rotates = random.chance(0.5) ? random.int(1, 3) : Number.POSITIVE_INFINITY;
  const how = random.pick(['renamed', 'renamed', 'in-place'] as const);
  const hasBest = random.chance(0.3);
  const saves: Save[] = [];
  for (let at = every, number = 1; at < lasts && number <= 40; at += every, number += 1) {
    const writing = random.chance(0.1) ? random.spread(5_000, 60_000) : random.spread(10, 2_000);
    const removedAt = Number.isFinite(rotates) ? at + rotates * every : Number.POSITIVE_INFINITY;
    const taken = Math.min(writing, every * 0.9);
    const epoch = before + number;
    const content = safetensors(`epoch ${epoch} ${random.next()}`);
    saves.push({ name: `checkpoints/epoch-${epoch}.safetensors`, content, at, how, lasts: taken, removedAt });
    if (hasBest && random.chance(0.5)) {
      const best = {
        name: 'checkpoints/best.safetensors',
        content: safetensors(`best ${epoch} ${random.next()}`),
        how,
      };
      saves.push({ ...best, at: at + 1, lasts: Math.min(writing, every * 0.9), removedAt: Number.POSITIVE_INFINITY });
    }
  }
  return saves;
}
