/** What may not be in a document, or turns the direction of the text around it: shown as a replacement character. */
const UNSAFE = /[^\P{Cc}\t\n]|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff]|\p{Surrogate}/gu;
const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text for HTML and SVG, between tags or in a quoted attribute. */
export function escapeText(text: string): string {
  return text.replace(UNSAFE, '\ufffd').replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '');
}
