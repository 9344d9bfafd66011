import * as z from 'zod/mini';
import { OUTPUTS } from '../../cli/output/schemas.ts';

type Command = keyof typeof OUTPUTS;
interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
}

/**
 * What a command printed with --json, parsed.
 * @throws when it is not of the published schema, or has a key that the schema does not have
 */
export function outputOf<C extends Command>(command: C, stdout: string): z.output<(typeof OUTPUTS)[C]> {
  const value: unknown = JSON.parse(stdout);
  const schema = OUTPUTS[command];
  const { data, error } = z.safeParse(schema as z.ZodMiniType, value);
  if (error) throw new Error(`runctl ${command} --json: ${z.prettifyError(error)}\n${stdout}`);
  const unknown = unknownKeys(z.toJSONSchema(schema, { io: 'input' }) as Schema, value, command);
  if (unknown.length > 0) throw new Error(`not in the schema: ${unknown.join(', ')}`);
  return data as z.output<(typeof OUTPUTS)[C]>;
}

function unknownKeys(schema: Schema, value: unknown, path: string): string[] {
  const inner = schema.anyOf?.find(({ properties }) => properties !== undefined) ?? schema;
  if (Array.isArray(value)) return value.flatMap((item) => unknownKeys(inner.items ?? {}, item, `${path}[]`));
  const { properties } = inner;
  if (properties === undefined || typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, item]) => {
    const known = properties[key];
    return known === undefined ? [`${path}.${key}`] : unknownKeys(known, item, `${path}.${key}`);
  });
}
