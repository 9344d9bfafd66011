import * as z from 'zod/mini';
import { manifestSchema } from './manifest-schema.ts';

/** The manifest as JSON Schema, for tools that read it: `runctl.manifest.schema.json` is this, and a test keeps it so. */
export function manifestJsonSchema(): object {
  return { ...z.toJSONSchema(manifestSchema), title: 'runctl run manifest' };
}
