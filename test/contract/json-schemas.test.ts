import { expect, it } from 'vitest';
import { outputJsonSchema } from '../../cli/output/json-schema.ts';
import { manifestJsonSchema } from '../../core/outcome/manifest-json-schema.ts';
import { summaryJsonSchema } from '../../core/results/summary-schema.ts';
import { specJsonSchema } from '../../core/spec/json-schema.ts';
import { jsonReference } from './json-reference.ts';

it.each([
  ['runctl.schema.json', specJsonSchema],
  ['runctl.manifest.schema.json', manifestJsonSchema],
  ['runctl.output.schema.json', outputJsonSchema],
  ['runctl.summary.schema.json', summaryJsonSchema],
])('%s is generated from the schema that is checked with (npm run schema writes it)', async (file, schema) => {
  await expect(`${JSON.stringify(schema(), null, 2)}\n`).toMatchFileSnapshot(`../../${file}`);
});

it('docs/reference/json.md is generated from the schemas of the outputs (npm run schema writes it)', async () => {
  await expect(jsonReference()).toMatchFileSnapshot('../../docs/reference/json.md');
});
