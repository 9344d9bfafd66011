/** A string literal's beginning: prefix, then one or three quotes. */
const STRING_START = /^[rbuRBU]{0,2}("""|'''|"|')|^[fF][rR]?("""|'''|"|')|^[rR][fF]("""|'''|"|')/;

/**
 * Takes comments, docstrings, blank lines and most indentation out of Python source; everything else stays to the letter. The documents that carry
 * the runner have 48 KB, and a third of a well-explained program is explanation. test/unit/lib/strip-python.test.ts compares syntax trees.
 * @param source indented by four spaces, as ruff formats it
 */
export function stripPython(source: string): string {
  const lines: string[] = [];
  let line = '';
  let depth = 0;
  let at = 0;
  const endLine = () => {
    if (line.trim() !== '') lines.push(line.trimEnd());
    line = '';
  };
  while (at < source.length) {
    const char = source.charAt(at);
    const atWord = !/\w/.test(source.charAt(at - 1));
    const start = atWord || /["']/.test(char) ? STRING_START.exec(source.slice(at, at + 5)) : null;
    if (start) {
      const end = stringEnd(source, at + start[0].length, start[1] ?? start[2] ?? start[3] ?? '');
      if (!isDocstring(source, end, line, depth)) line += source.slice(at, end);
      // A body must have something in it, and nothing may come before `from __future__`.
      else if (line !== '') line += '0';
      at = end;
    } else if (char === '#') {
      at = lineEnd(source, at);
    } else if (char === '\n') {
      endLine();
      const indent = /^ */.exec(source.slice(at + 1))?.[0].length ?? 0;
      line = depth > 0 ? '' : ' '.repeat(indent / 4);
      at += 1 + indent;
      if (depth > 0) line = ' ';
    } else {
      if ('([{'.includes(char)) depth += 1;
      if (')]}'.includes(char)) depth -= 1;
      line += char;
      at += 1;
    }
  }
  endLine();
  return `${lines.join('\n')}\n`;
}

function stringEnd(source: string, from: number, quote: string): number {
  for (let at = from; at < source.length; at += 1) {
    if (source.charAt(at) === '\\') at += 1;
    else if (source.startsWith(quote, at)) return at + quote.length;
  }
  throw new Error(`a string literal without an end, from character ${from}`);
}

/** A string that is a statement of its own: nothing before it on its line, nothing but a comment behind it. */
function isDocstring(source: string, end: number, before: string, depth: number): boolean {
  return depth === 0 && before.trim() === '' && /^[ \t]*(#|$)/.test(source.slice(end, lineEnd(source, end)));
}

function lineEnd(source: string, from: number): number {
  const at = source.indexOf('\n', from);
  return at === -1 ? source.length : at;
}
