/** Of one glob, as instance/runner/collect/globs.py has it. */
export const MAX_ALTERNATIVES = 256;
/** Names that no project has: a pattern that matches them matches every file, or every file at the top. */
const ANY_NAMES = ['\u0001', '\u0001/\u0001'];

/**
 * Whether a file matches the `outputs` of a spec, as the instance decides it: `*` and `?` stay within a folder, `**` goes
 * through folders, and a folder means all that is in it. Patterns that match any file are left out: with them, nothing
 * would be code.
 */
export function outputMatcher(globs: readonly string[]): (name: string) => boolean {
  const patterns = globs
    .flatMap((glob) => expandBraces(glob) ?? [])
    .flatMap((glob) => globPattern(glob) ?? [])
    .filter((pattern) => !ANY_NAMES.some((name) => pattern.test(name)));
  return (name) => patterns.some((pattern) => pattern.test(name));
}

/** A request has little room beside a presigned URL. */
const FOLDERS_BYTES = 2_000;

/** The folders that the patterns begin with, which scripts expect to exist: `outputs/**` begins with `outputs`. */
export function outputFolders(globs: readonly string[]): string[] {
  const folders = new Set<string>();
  for (const glob of globs.flatMap((glob) => expandBraces(glob) ?? [])) {
    const parts = glob.split('/').filter((part) => part !== '' && part !== '.');
    const wildcard = parts.findIndex((part) => /[*?[]/.test(part));
    // Without a wildcard the last part may be a file.
    const folder = parts.slice(0, wildcard === -1 ? -1 : wildcard);
    if (folder.length > 0 && !folder.includes('..')) folders.add(folder.join('/'));
    if (Buffer.byteLength(JSON.stringify([...folders])) > FOLDERS_BYTES) {
      folders.delete(folder.join('/'));
      break;
    }
  }
  return [...folders];
}

/** `a.{pt,json}` is `a.pt` and `a.json`; null: more than the instance accepts. Braces without a comma are characters as any. */
export function expandBraces(glob: string): string[] | null {
  const done: string[] = [];
  const rest = [glob];
  for (let text = rest.pop(); text !== undefined; text = rest.pop()) {
    const braces = /\{([^{}]*,[^{}]*)\}/.exec(text);
    if (braces === null) done.push(text);
    else {
      const [whole, inner = ''] = braces;
      const [before, after] = [text.slice(0, braces.index), text.slice(braces.index + whole.length)];
      // The last is taken first, so the alternatives keep their order.
      for (const part of inner.split(',').reverse()) rest.push(`${before}${part}${after}`);
    }
    if (done.length + rest.length > MAX_ALTERNATIVES) return null;
  }
  return done;
}

/** null: the pattern is not one, and matches nothing. */
function globPattern(glob: string): RegExp | null {
  const parts = glob.split('/').filter((part) => part !== '' && part !== '.');
  const single = parts.filter((part, at) => part !== '**' || parts[at - 1] !== '**');
  const words = single.map((part, index) => {
    const isLast = index === single.length - 1;
    if (part === '**') return isLast ? '.*' : '(?:.*/)?';
    return `${segmentPattern(part)}${isLast ? '' : '/'}`;
  });
  try {
    return single.length === 0 ? null : new RegExp(`^${words.join('')}(?:/.*)?$`, 'su');
  } catch {
    return null;
  }
}

function segmentPattern(part: string): string {
  return part.replace(/\[([\s\S][^\]]*)\]|[\s\S]/gu, (char, inner?: string) => {
    if (inner !== undefined) return characterClass(inner);
    if (char === '*') return '[^/]*';
    if (char === '?') return '[^/]';
    return char.replace(/[.+^$(){}|[\]\\]/g, '\\$&');
  });
}

function characterClass(inner: string): string {
  const isNegated = inner.length > 1 && /^[!^]/.test(inner);
  const members = (isNegated ? inner.slice(1) : inner).replace(/[\\[\]^]/g, '\\$&');
  return isNegated ? `[^/${members}]` : `[${members}]`;
}
