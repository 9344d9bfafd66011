import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { STACK_NAME } from '../core/names.ts';
import { MAX_DOCUMENT_BYTES } from '../lib/instance/document.ts';
import type { StatePaths } from '../local/cloud/paths.ts';
import { assembly } from '../local/cloud/stack.ts';
import { atMost, type Section } from './report.ts';

const BUNDLE_BYTES = 860_000;
const template = z.looseObject({
  Metadata: z.looseObject({ runctlDocuments: z.record(z.string(), z.unknown()) }),
});

/** The sizes of the synthesized Lambda bundles and documents. */
export async function benchSizes(paths: StatePaths): Promise<Section[]> {
  const folder = assembly(paths);
  const names = (await readdir(join(folder, 'lambdas'))).sort();
  const bundles = await Promise.all(
    names.map(async (name) => ({
      name,
      value: (await stat(join(folder, 'lambdas', name, 'index.mjs'))).size,
      unit: 'bytes' as const,
      target: atMost(BUNDLE_BYTES),
    })),
  );
  const text = await readFile(join(folder, `${STACK_NAME}.template.json`), 'utf8');
  const documents = Object.entries(template.parse(JSON.parse(text)).Metadata.runctlDocuments).map(
    ([name, content]) => ({
      name,
      value: Buffer.byteLength(JSON.stringify(content)),
      unit: 'bytes' as const,
      target: atMost(MAX_DOCUMENT_BYTES),
    }),
  );
  return [
    { title: 'Lambda bundles', rows: bundles },
    { title: 'SSM documents', rows: documents },
  ];
}
