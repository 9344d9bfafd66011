/** The records of one PAX header, values undecoded. */
export type PaxRecords = ReadonlyMap<string, Uint8Array>;

const SPACE = 0x20;
const EQUALS = 0x3d;
const NEWLINE = 0x0a;
const ZERO = 0x30;

/**
 * Reads PAX records: `<length> <key>=<value>\n`, the length counting itself. Strictly: readers differ in how they go on
 * after a damaged record, and a key said twice has two meanings.
 * @returns the records, or what is wrong with them: a few words.
 */
export function readPax(bytes: Uint8Array): PaxRecords | string {
  const records = new Map<string, Uint8Array>();
  for (let start = 0; start < bytes.length; ) {
    const space = bytes.indexOf(SPACE, start);
    const length = space < 0 ? null : readLength(bytes.subarray(start, space));
    if (length === null) return 'a record without a length';
    const end = start + length;
    if (end > bytes.length || end <= space + 1) return 'a record whose length is wrong';
    const equals = bytes.subarray(0, end).indexOf(EQUALS, space + 1);
    if (bytes[end - 1] !== NEWLINE || equals <= space + 1) return 'a damaged record';
    const key = Buffer.from(bytes.subarray(space + 1, equals)).toString('latin1');
    if (!/^[\x21-\x7e][\x20-\x7e]*$/.test(key)) return 'a record with a damaged key';
    if (records.has(key)) return `two records \`${key.slice(0, 40)}\``;
    records.set(key, bytes.slice(equals + 1, end - 1));
    start = end;
  }
  return records;
}

function readLength(digits: Uint8Array): number | null {
  if (digits.length === 0 || digits.length > 10 || digits[0] === ZERO) return null;
  let value = 0;
  for (const digit of digits) {
    if (digit < ZERO || digit > ZERO + 9) return null;
    value = value * 10 + digit - ZERO;
  }
  return value;
}

/** The key of a record that makes the entry a sparse file, or null. */
export function sparseKey(records: PaxRecords): string | null {
  for (const key of records.keys()) {
    if (key.startsWith('GNU.sparse.') || key === 'SUN.holesdata' || key === 'SCHILY.realsize') return key;
  }
  return null;
}
