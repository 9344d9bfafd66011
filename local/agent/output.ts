// Limits of the agent's output, and of what the API returns of it.
const agentBytes = 24_000;
const suffix = '--output truncated--';
const apiStdout = 24_000;
const apiStderr = 8_000;
const listOutput = 2_500;

/** A stream as the agent reports it: cut at 24,000 bytes, then read as UTF-8 the way Go does. */
export function agentOutput(bytes: Buffer): string {
  if (bytes.length < agentBytes) return goText(bytes);
  return goText(bytes.subarray(0, agentBytes - suffix.length)) + suffix;
}

export const apiOutput = {
  stdout: (text: string): string => text.slice(0, apiStdout),
  stderr: (text: string): string => text.slice(0, apiStderr),
  /** ListCommandInvocations with Details shows both streams in one short text. */
  listed: (stdout: string, stderr: string): string =>
    (stderr === '' ? stdout : `${stdout}\n----------ERROR-------\n${stderr}`).slice(0, listOutput),
};

/** Go's JSON replaces each invalid byte with one U+FFFD; a TextDecoder replaces a whole truncated character. */
function goText(bytes: Buffer): string {
  let text = '';
  let valid = 0; // start of the bytes not yet decoded
  let at = 0;
  while (at < bytes.length) {
    const width = characterWidth(bytes, at);
    if (width > 0) {
      at += width;
      continue;
    }
    text += `${bytes.toString('utf8', valid, at)}\uFFFD`;
    at += 1;
    valid = at;
  }
  return text + bytes.toString('utf8', valid);
}

/**
 * The length in bytes of the character at `at`, or 0 if none begins there. Sequences that are well
 * formed but invalid (overlong, a surrogate) may pass: Node also makes one U+FFFD of each of their bytes.
 */
function characterWidth(bytes: Buffer, at: number): number {
  const first = bytes[at] ?? 0;
  if (first < 0x80) return 1;
  const width = first < 0xc2 || first > 0xf4 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (at + width > bytes.length) return 0;
  for (let index = 1; index < width; index += 1) {
    if (((bytes[at + index] ?? 0) & 0xc0) !== 0x80) return 0;
  }
  return width;
}
