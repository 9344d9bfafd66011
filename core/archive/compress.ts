import { deflate } from 'libdeflate';
import { gzipMember } from './members.ts';

/**
 * What compresses members, with its version and level: libdeflate as WebAssembly, since the same content must give the
 * same bytes on a laptop and in a function. The output of zlib depends on its version and on the processor.
 */
export const COMPRESSOR = 'libdeflate-0.1.0-4';
export const DEFLATE_LEVEL = 4;

/** Emscripten, which made the module, adds handlers of these that throw each error anew: Node.js would tell another place of it. */
const HANDLED = ['uncaughtException', 'unhandledRejection'] as const;
let isLoaded = false;

/** Compresses a stretch of the tar into a gzip member. */
export function compressMember(content: Uint8Array): Buffer {
  if (!isLoaded) load();
  return gzipMember(content, deflate(content, DEFLATE_LEVEL));
}

function load(): void {
  const before = HANDLED.map((event) => process.rawListeners(event));
  deflate(new Uint8Array(), DEFLATE_LEVEL);
  for (const [index, event] of HANDLED.entries())
    for (const listener of process.rawListeners(event))
      if (!before[index]?.includes(listener)) process.removeListener(event, listener as () => void);
  isLoaded = true;
}
