import * as z from 'zod/mini';
import { specSchema } from './schema.ts';

/** The run spec as JSON Schema, for editors: `runctl.schema.json` is this, and a test keeps it so. */
export function specJsonSchema(): object {
  const schema = z.toJSONSchema(specSchema, { io: 'input' });
  return { ...schema, title: 'runctl run spec' };
}
