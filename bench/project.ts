import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** A generator of pseudo-random numbers below 2^32 (mulberry32), so that the project is the same each time. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

/** Bytes that do not compress: the same for the same seed. */
export function randomBytes(count: number, seed: number): Buffer {
  const next = random(seed);
  const words = new Uint32Array(Math.ceil(count / 4));
  for (let index = 0; index < words.length; index += 1) words[index] = next();
  return Buffer.from(words.buffer).subarray(0, count);
}

/** Writes a project of `files` files with `bytes` bytes in total. gzip halves it at least, as it does code. */
export async function writeProject(folder: string, files: number, bytes: number): Promise<void> {
  const next = random(7);
  const words = Array.from({ length: 4_000 }, () => next().toString(36));
  const size = Math.floor(bytes / files);
  for (let index = 0; index < files; index += 1) {
    const name = index === 0 ? 'train.py' : join(`pkg${index % 20}`, `part${index % 7}`, `module${index}.py`);
    let content = '';
    while (content.length < size) content += `# ${words[next() % words.length]} ${words[next() % words.length]}\n`;
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), content.slice(0, size));
  }
}
