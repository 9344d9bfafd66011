const ZEROS = Buffer.alloc(64 * 1024);

/** @returns the index of the first byte that is not zero, or null. By memory comparison: padding may be gigabytes. */
export function firstNonZero(bytes: Uint8Array): number | null {
  for (let start = 0; start < bytes.length; start += ZEROS.length) {
    const piece = bytes.subarray(start, start + ZEROS.length);
    if (ZEROS.compare(piece, 0, piece.length, 0, piece.length) === 0) continue;
    return start + piece.findIndex((byte) => byte !== 0);
  }
  return null;
}
