import jsonata from 'jsonata';

/** The variables of a state's expressions, by name without the `$`. */
export type Bindings = Readonly<Record<string, unknown>>;

/** An expression has no result or cannot be evaluated: `States.QueryEvaluationError` on AWS. */
export class QueryError extends Error {
  override readonly name = 'States.QueryEvaluationError';
}

type Compiled = (bindings: Bindings) => unknown;
const compiled = new Map<string, Compiled>();
const EXPRESSION = /^\{%(.*)%\}$/s;
/** `$variable.key.key` alone: most of a definition's expressions. */
const PATH = /^\$[A-Za-z]\w*(\.[A-Za-z]\w*)*$/;

/** Replaces the `{% … %}` of a template. Returns a promise only if an expression needs one: most are paths. */
export function evaluate(template: unknown, bindings: Bindings): unknown {
  if (typeof template === 'string') return evaluateText(template, bindings);
  if (Array.isArray(template)) return whole(template.map((item) => evaluate(item, bindings)));
  if (typeof template !== 'object' || template === null) return template;
  const names = Object.keys(template);
  const values = whole(Object.values(template).map((value) => evaluate(value, bindings)));
  const join = (all: readonly unknown[]) => Object.fromEntries(names.map((name, index) => [name, all[index]]));
  return values instanceof Promise ? values.then(join) : join(values);
}

function whole(values: readonly unknown[]): readonly unknown[] | Promise<readonly unknown[]> {
  return values.some((value) => value instanceof Promise) ? Promise.all(values) : values;
}

function evaluateText(text: string, bindings: Bindings): unknown {
  let expression = compiled.get(text);
  if (expression === undefined) {
    expression = compile(text);
    compiled.set(text, expression);
  }
  return expression(bindings);
}

function compile(text: string): Compiled {
  const source = EXPRESSION.exec(text)?.[1]?.trim();
  if (source === undefined) return () => text;
  return PATH.test(source) ? compilePath(source) : compileQuery(source);
}

/** Evaluates a path as the library does (test/soak/expressions.test.ts compares). Lists are left to the library. */
function compilePath(source: string): Compiled {
  const keys = source.slice(1).split('.');
  const query = compileQuery(source);
  return (bindings) => {
    let value: unknown = bindings;
    for (const key of keys) {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) return query(bindings);
      value = (value as Record<string, unknown>)[key];
    }
    return value === undefined ? query(bindings) : value;
  };
}

function compileQuery(source: string): Compiled {
  const query = jsonata(source);
  return async (bindings) => {
    let value: unknown;
    try {
      value = await query.evaluate(undefined, bindings);
    } catch (error) {
      throw new QueryError(`${source}: ${error instanceof Error ? error.message : JSON.stringify(error)}`);
    }
    if (value === undefined) throw new QueryError(`${source} gave nothing`);
    return value;
  };
}
