import * as z from 'zod/mini';
import { OUTPUTS } from './schemas.ts';

/**
 * The output of every command as one JSON Schema: `runctl.output.schema.json` is this, and a test keeps it so. `$defs` has a schema for each
 * command. Open for further keys: they may be added, and a program with yesterday's schema must not refuse today's output.
 */
export function outputJsonSchema(): object {
  const definitions = Object.entries(OUTPUTS).map(([command, schema]) => {
    const { $schema: _, ...definition } = z.toJSONSchema(schema, { io: 'input' });
    return [command, definition] as const;
  });
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'What the commands of runctl print with --json',
    anyOf: definitions.map(([command]) => ({ $ref: `#/$defs/${encodeURIComponent(command)}` })),
    $defs: Object.fromEntries(definitions),
  };
}
