import { expect, it } from 'vitest';
import { manifestJsonSchema } from '../../core/outcome/manifest-json-schema.ts';
import { specJsonSchema } from '../../core/spec/json-schema.ts';

it.each([
  ['runctl.schema.json', specJsonSchema],
  ['runctl.manifest.schema.json', manifestJsonSchema],
])('%s is generated from the schema that is checked with (npm run schema writes it)', async (file, schema) => {
  await expect(`${JSON.stringify(schema(), null, 2)}\n`).toMatchFileSnapshot(`../../${file}`);
});
