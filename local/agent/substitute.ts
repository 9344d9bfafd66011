import type { DocumentContent, ParameterDefinition } from './document-content.ts';

/** A parameter's value after its type is applied: a string, a list, or null. */
export type Value = string | readonly string[] | null;

const validName = /^[a-zA-Z0-9]+$/;

/** The values that the agent substitutes: the given one if the name is valid, else the default, else null. */
export function parameterValues(
  document: DocumentContent,
  given: Readonly<Record<string, readonly string[]>>,
): Map<string, Value> {
  const values = new Map<string, Value>();
  for (const [name, definition] of Object.entries(document.parameters)) {
    const value = given[name];
    if (value !== undefined && validName.test(name)) values.set(name, typed(definition, value));
    else values.set(name, defaultOf(definition));
  }
  return values;
}

function typed(definition: ParameterDefinition, value: readonly string[]): Value {
  return definition.type === 'StringList' ? value : (value[0] ?? null);
}

function defaultOf(definition: ParameterDefinition): Value {
  const value = definition.default;
  if (value === undefined || value === null) return null;
  if (Array.isArray(value)) return value.map(String);
  return String(value);
}

/**
 * Replaces each `{{ name }}` in the input of a step, as the agent does. A string that consists of one
 * parameter becomes that parameter's value, of any type. In a longer string the value is inserted as
 * text, and the agent applies the `$` rules of Go's regular expressions to it (`$$` becomes `$`,
 * `$name` disappears).
 */
export function substitute(input: unknown, values: ReadonlyMap<string, Value>): unknown {
  if (typeof input === 'string') return substituteText(input, values);
  if (Array.isArray(input)) return input.map((item) => substitute(item, values));
  if (input !== null && typeof input === 'object') {
    return Object.fromEntries(Object.entries(input).map(([key, value]) => [key, substitute(value, values)]));
  }
  return input;
}

function substituteText(input: string, values: ReadonlyMap<string, Value>): Value {
  for (const [name, value] of values) {
    if (validName.test(name) && new RegExp(`^\\{\\{\\s*${name}\\s*\\}\\}$`).test(input)) return value;
  }
  let text = input;
  for (const [name, value] of values) {
    const replacement = expandDollars(typeof value === 'string' ? value : JSON.stringify(value));
    text = text.replace(new RegExp(`\\{\\{\\s*${escapeRegExp(name)}\\s*\\}\\}`, 'g'), () => replacement);
  }
  return text;
}

/** Go's `Regexp.Expand` for an expression without groups: `$1`, `$name` and `${name}` are empty, `$$` is `$`. */
function expandDollars(template: string): string {
  return template.replace(/\$(\$|\{\w+\}|[\p{L}\p{Nd}_]+)/gu, (_match, what: string) => (what === '$' ? '$' : ''));
}

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
