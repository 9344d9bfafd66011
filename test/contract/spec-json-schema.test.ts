import { expect, it } from 'vitest';
import { specJsonSchema } from '../../core/spec-json-schema.ts';

it('runctl.schema.json is generated from the schema that runs are checked with (npm run schema writes it)', async () => {
  const text = `${JSON.stringify(specJsonSchema(), null, 2)}\n`;
  await expect(text).toMatchFileSnapshot('../../runctl.schema.json');
});
