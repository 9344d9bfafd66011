import * as z from 'zod/mini';
import { manifestSchema } from './manifest-schema.ts';

/**
 * The manifest as JSON Schema, for tools that read it: `runctl.manifest.schema.json` is this, and a test keeps it so. Open for further keys: they may be added
 * within a version, and a tool with yesterday's schema must not refuse today's manifest.
 */
export function manifestJsonSchema(): object {
  return { ...z.toJSONSchema(manifestSchema, { io: 'input' }), title: 'runctl run manifest' };
}
