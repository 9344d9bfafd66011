/** A reader of HTML and SVG as our functions write it: strict, so that what is not well-formed throws. */

export interface MarkupElement {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  /** Of the element and of those in it. */
  readonly text: string;
}

const TOKEN =
  /<!doctype html>|<(style)>([^<]*)<\/style>|<(\/?)([a-zA-Z][\w-]*)((?:\s+[\w:-]+(?:="[^"<]*")?)*)\s*(\/?)>|([^<]+)/gy;
const VOID = new Set(['meta', 'br', 'hr', 'img', 'input', 'link', 'wbr']);
const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" };

/** @returns the elements in the order of their beginnings, of this name alone if one is given */
export function elements(markup: string, only?: string): MarkupElement[] {
  const found: { name: string; attributes: Record<string, string>; text: string }[] = [];
  const open: (typeof found)[number][] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < markup.length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(markup);
    if (match === null) throw new Error(`not well-formed: ${markup.slice(at, at + 80)}`);
    const [, style, , closing, name, attributes = '', empty, text] = match;
    if (style) found.push({ name: 'style', attributes: {}, text: '' });
    if (text !== undefined) for (const element of open) element.text += decode(text);
    if (name === undefined) continue;
    if (closing) {
      const last = open.pop();
      if (last?.name !== name) throw new Error(`</${name}> closes <${last?.name}>`);
      continue;
    }
    const element = { name, attributes: readAttributes(attributes), text: '' };
    found.push(element);
    if (!empty && !VOID.has(name)) open.push(element);
  }
  if (open.length > 0) throw new Error(`<${open.at(-1)?.name}> is not closed`);
  return found.filter(({ name }) => only === undefined || name === only);
}

function readAttributes(text: string): Record<string, string> {
  const pairs = [...text.matchAll(/([\w:-]+)(?:="([^"]*)")?/g)];
  return Object.fromEntries(pairs.map(([, name = '', value = '']) => [name, decode(value)]));
}

function decode(text: string): string {
  return text.replace(/&(#?\w*);?/g, (entity, name: string) => {
    const character = ENTITIES[name];
    if (character === undefined || !entity.endsWith(';')) throw new Error(`an entity that is not ours: ${entity}`);
    return character;
  });
}
