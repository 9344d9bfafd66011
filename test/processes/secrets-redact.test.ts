import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { python } from '../support/secrets/python.ts';

async function redact(values: readonly string[], texts: readonly string[]): Promise<string[]> {
  const code = `from common.secrets.redact import Redactor
redact = Redactor(asked["values"])
print(json.dumps([redact(text) for text in asked["texts"]]))`;
  return await python(code, { values, texts });
}

const TOKEN = 'hf_ab+cd/ef?gh&ij"kl\\mn ü';

describe("a secret's value is taken out", () => {
  it.each([
    ['as it is', (value: string) => `token: ${value}!`],
    ['as JSON', (value: string) => JSON.stringify({ token: value })],
    ['as JSON in ASCII', (value: string) => JSON.stringify({ token: value }).replaceAll('ü', '\\u00fc')],
    ['in a query', (value: string) => `https://h/?${new URLSearchParams({ token: value })}`],
    ['in a path', (value: string) => `https://h/${encodeURIComponent(value)}/x`],
    ['as base64', (value: string) => Buffer.from(value).toString('base64')],
    ['as base64url', (value: string) => Buffer.from(value).toString('base64url')],
    ['with a name before it, as base64', (value: string) => Buffer.from(`me:${value}`).toString('base64')],
    ['with other text around it, as base64', (value: string) => Buffer.from(`user:${value}\n`).toString('base64')],
  ])('%s', async (_title, write) => {
    const text = write(TOKEN);
    const [clean] = await redact([TOKEN], [text]);
    expect(clean).toContain('***');
    // What base64 leaves is the characters that its neighbors share: not enough to decode.
    expect(clean).not.toContain(TOKEN.slice(0, 6));
    expect(Math.abs((clean?.length ?? 0) - text.length)).toBeGreaterThan(15);
  });

  it('line by line: a private key is printed so', async () => {
    const key = '-----BEGIN KEY-----\nMIIEpAIBAAKCAQEA7\nabc\n-----END KEY-----\n';
    const lines = ['  MIIEpAIBAAKCAQEA7', 'abc', key, JSON.stringify(key)];
    expect(await redact([key], lines)).toEqual(['  ***', 'abc', '***', '"***"']);
  });

  it('wholly, where one value is the beginning of another', async () => {
    expect(await redact(['secret', 'secret-and-more'], ['secret-and-more', 'secret'])).toEqual(['***', '***']);
  });

  it('but not values that are too short to distinguish from words, and nothing without secrets', async () => {
    expect(await redact(['abc', ''], ['abc def'])).toEqual(['abc def']);
    expect(await redact([], ['abc def'])).toEqual(['abc def']);
  });

  it('from all texts of JSON data, keys too', async () => {
    const code = `from common.secrets.redact import Redactor
print(json.dumps(Redactor(["hidden"]).everywhere(asked)))`;
    const data = { hidden: ['a hidden b', 1, null, { deep: 'hidden' }], other: true };
    expect(await python(code, data)).toEqual({ '***': ['a *** b', 1, null, { deep: '***' }], other: true });
  });

  it('from what a job says of its progress and its result', async () => {
    const code = `import os, tempfile
from common.secrets.redact import Redactor
from jobs.progress import Progress
with tempfile.TemporaryDirectory() as folder:
    progress = Progress(folder, Redactor(["hidden"]))
    for said in asked:
        os.write(progress.job_end, json.dumps(said).encode() + b"\\n")
    progress.read()
    with open(os.path.join(folder, "progress.json")) as file:
        print(json.dumps([json.load(file), progress.result]))`;
    const said = [{ progress: { phase: 'a', current: 'x hidden' } }, { result: { error: { message: 'hidden!' } } }];
    expect(await python(code, said)).toMatchObject([{ current: 'x ***' }, { error: { message: '***!' } }]);
  });

  it('from any text around it', async () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 30 });
    const value = fc.string({ unit: 'grapheme', minLength: 8, maxLength: 40 }).filter((it) => it.trim().length >= 8);
    const cases = fc.sample(fc.tuple(value, text, text), 200);
    for (const encoding of ['utf8', 'base64', 'base64url'] as const) {
      const texts = cases.map(([secret, before, after]) =>
        Buffer.from(`${before}${secret}${after}`).toString(encoding),
      );
      const cleaned = await python<string[]>(
        `from common.secrets.redact import Redactor
print(json.dumps([Redactor([value])(text) for value, text in asked]))`,
        cases.map(([secret], index) => [secret, texts[index]]),
      );
      for (const [index, clean] of cleaned.entries())
        expect([encoding, cases[index], clean.includes('***')]).toEqual([encoding, cases[index], true]);
    }
  });
});
