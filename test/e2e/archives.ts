import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';

type OddEntry = Parameters<ReturnType<typeof pack>['entry']>[0];

/** A `.tar.gz` of text files, the same bytes for the same files, and of odd entries where a test needs one. */
export async function tarGz(files: Readonly<Record<string, string>>, odd: readonly OddEntry[] = []): Promise<Buffer> {
  const tar = pack();
  for (const [name, text] of Object.entries(files)) tar.entry({ name, mode: 0o644, mtime: new Date(0) }, text);
  for (const header of odd) tar.entry(header);
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar) chunks.push(chunk as Buffer);
  return gzipSync(Buffer.concat(chunks));
}
