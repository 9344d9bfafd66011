import { describe, expect, it } from 'vitest';
import { specMetadata } from '../../../cli/archive/upload.ts';
import { InvalidSpec } from '../../../core/spec/spec.ts';

describe('the metadata of an upload', () => {
  it('is ASCII, and the same JSON', () => {
    const spec = { script: 'é.py', args: ['日本', '🙂', '"', '\u007f'] };
    const value = specMetadata(spec);
    expect(value).toMatch(/^[\x20-\x7e]*$/);
    expect(JSON.parse(value)).toEqual(spec);
  });

  it('is checked before anything is sent: wrong keys, and more than S3 carries', () => {
    expect(() => specMetadata({ script: '../x.py' })).toThrow(InvalidSpec);
    expect(specMetadata({ args: ['x'.repeat(2_000)] })).toHaveLength(2_013);
    expect(() => specMetadata({ args: ['x'.repeat(2_048)] })).toThrow(/runctl.yaml/);
  });
});
