/** What people upload instead of a `.tar.gz`, by its first bytes. The offset of tar's mark is in its first header. */
const KINDS: readonly { readonly kind: string; readonly offset?: number; readonly bytes: readonly number[] }[] = [
  { kind: 'a gzip file', bytes: [0x1f, 0x8b] },
  { kind: 'a zip file', bytes: [0x50, 0x4b, 0x03, 0x04] },
  { kind: 'an empty zip file', bytes: [0x50, 0x4b, 0x05, 0x06] },
  { kind: 'a zstd file (.tar.zst)', bytes: [0x28, 0xb5, 0x2f, 0xfd] },
  { kind: 'an xz file (.tar.xz)', bytes: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00] },
  { kind: 'a bzip2 file (.tar.bz2)', bytes: [0x42, 0x5a, 0x68] },
  { kind: 'an lz4 file', bytes: [0x04, 0x22, 0x4d, 0x18] },
  { kind: 'an lzip file', bytes: [0x4c, 0x5a, 0x49, 0x50] },
  { kind: 'a file packed by compress (.tar.Z)', bytes: [0x1f, 0x9d] },
  { kind: 'a 7-Zip file', bytes: [0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c] },
  { kind: 'a RAR file', bytes: [0x52, 0x61, 0x72, 0x21] },
  { kind: 'a tar that is not compressed', offset: 257, bytes: [0x75, 0x73, 0x74, 0x61, 0x72] },
];

/** @returns what the bytes look like, for a message: `a zip file`, `text ("#!/usr/bin/…")`, `unknown data (00 01 …)`. */
export function sniff(head: Uint8Array): string {
  for (const { kind, offset = 0, bytes } of KINDS) {
    if (bytes.every((byte, index) => head[offset + index] === byte)) return kind;
  }
  const start = head.subarray(0, 24);
  const text = start.every((byte) => (byte >= 0x20 && byte < 0x7f) || byte === 0x0a || byte === 0x0d || byte === 0x09);
  if (text) return `text (${JSON.stringify(String.fromCharCode(...start))}…)`;
  return `unknown data (${[...start.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')} …)`;
}
