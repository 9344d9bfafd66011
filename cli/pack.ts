import { createWriteStream } from 'node:fs';
import { open, readFile, rm, stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { constants, createGzip } from 'node:zlib';
import { type Pack, pack } from 'tar-stream';
import { listFiles, PackError, type ProjectFile } from './pack-list.ts';

export { PackError } from './pack-list.ts';

/** Level 6 is what `tar czf` takes; a higher one costs twice the time for a few per cent. */
const GZIP_LEVEL = 6;
/** Files up to this size are read whole and ahead, larger ones are streamed. */
const WHOLE_BYTES = 1024 * 1024;
/** Opening a file takes longer than reading a small one: this many are on their way while the archive is compressed. */
const READ_AHEAD = 16;
/** 1980: what zip tools can say too. Any fixed time will do; epoch 0 makes some tools warn. */
const MTIME = new Date('1980-01-01T00:00:00Z');
/** Byte 9 of a gzip header says which system compressed; 3 is Unix. */
const GZIP_OS_BYTE = 9;
const GZIP_OS = 3;

export interface PackedFile {
  /** Path in the archive, `/` between its parts. */
  readonly name: string;
  readonly bytes: number;
}

/** What was packed. */
export interface Packed {
  /** In the archive's order. */
  readonly files: readonly PackedFile[];
  /** Sum of the files' sizes. */
  readonly bytes: number;
  /** Size of the archive. */
  readonly archiveBytes: number;
  /** What was left out though nobody asked for it, one sentence each. */
  readonly warnings: readonly string[];
}

/**
 * Packs a project folder into the .tar.gz file `archive`. The same tree gives the same bytes: sorted, no owners, one time,
 * modes 0644 and 0755. Which files: see pack-list.ts.
 * @throws PackError when there is nothing to pack, or a file changed meanwhile; then no archive is left.
 */
export async function packFolder(folder: string, archive: string, signal?: AbortSignal): Promise<Packed> {
  const { files, warnings } = await listFiles(folder);
  try {
    const packed = await writeArchive(files, archive, signal);
    await markAsUnix(archive);
    return {
      files: packed,
      bytes: packed.reduce((sum, file) => sum + file.bytes, 0),
      archiveBytes: (await stat(archive)).size,
      warnings,
    };
  } catch (error) {
    await rm(archive, { force: true });
    throw error;
  }
}

async function writeArchive(files: readonly ProjectFile[], archive: string, signal?: AbortSignal) {
  const tar = pack();
  const gzip = createGzip({ level: GZIP_LEVEL, memLevel: constants.Z_MAX_MEMLEVEL, chunkSize: 256 * 1024 });
  const written = pipeline(tar, gzip, createWriteStream(archive));
  try {
    // The disk may be full long before the last file is read: whichever fails first is told.
    const packed = await Promise.race([addAll(tar, files, signal), written.then(() => [])]);
    tar.finalize();
    await written;
    return packed;
  } catch (error) {
    tar.destroy();
    await written.catch(() => undefined); // the first error is the one to tell
    throw error;
  }
}

async function addAll(tar: Pack, files: readonly ProjectFile[], signal?: AbortSignal): Promise<PackedFile[]> {
  const ahead: Promise<Buffer | null>[] = [];
  const packed: PackedFile[] = [];
  for (const [index, file] of files.entries()) {
    signal?.throwIfAborted();
    for (let next = ahead.length; next < Math.min(files.length, index + READ_AHEAD); next += 1) {
      const reading = readSmall(files[next]);
      reading.catch(() => undefined); // told when its turn comes
      ahead.push(reading);
    }
    const content = await ahead[index];
    ahead[index] = Promise.resolve(null); // the bytes are not needed any more
    const bytes = content?.length ?? file.bytes;
    await addEntry(tar, file, bytes, content ?? null);
    packed.push({ name: file.name, bytes });
  }
  return packed;
}

async function readSmall(file: ProjectFile | undefined): Promise<Buffer | null> {
  if (file === undefined || file.bytes > WHOLE_BYTES) return null;
  try {
    return await readFile(file.path);
  } catch (error) {
    throw unreadable(file, error);
  }
}

async function addEntry(tar: Pack, file: ProjectFile, bytes: number, content: Buffer | null): Promise<void> {
  const header = { name: file.name, size: bytes, mode: file.executable ? 0o755 : 0o644, mtime: MTIME };
  await new Promise<void>((resolve, reject) => {
    const entry = tar.entry(header, (error) => (error ? reject(changed(file, error)) : resolve()));
    entry.on('error', (error: Error) => reject(changed(file, error))); // told both ways; the first one counts
    if (content !== null) entry.end(content);
    else streamInto(entry, file, bytes).catch((error: unknown) => entry.destroy(unreadable(file, error)));
  });
}

/** Exactly the bytes that the header promises, also when the file is being written to: a growing log is cut there. */
async function streamInto(entry: NodeJS.WritableStream, file: ProjectFile, bytes: number): Promise<void> {
  const handle = await open(file.path);
  try {
    const source = handle.createReadStream({ end: bytes - 1, highWaterMark: 256 * 1024, autoClose: false });
    for await (const chunk of source) {
      if (!entry.write(chunk)) await new Promise<void>((resolve) => entry.once('drain', resolve));
    }
    entry.end();
  } finally {
    await handle.close();
  }
}

async function markAsUnix(archive: string): Promise<void> {
  const handle = await open(archive, 'r+');
  try {
    await handle.write(Buffer.from([GZIP_OS]), 0, 1, GZIP_OS_BYTE);
  } finally {
    await handle.close();
  }
}

function unreadable(file: ProjectFile, cause: unknown): PackError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new PackError(`${file.name} cannot be read: ${why}`, 'Make it readable, or leave it out by .runctlignore.', {
    cause,
  });
}

function changed(file: ProjectFile, cause: Error): PackError {
  if (cause instanceof PackError) return cause;
  return new PackError(
    `${file.name} changed while it was packed (${cause.message})`,
    'Pack again when nothing writes to it, or leave it out by .runctlignore.',
    { cause },
  );
}
