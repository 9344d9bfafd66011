import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { LOOK_DOCUMENT, RUN_DOCUMENT, VERBS_FOR_PEOPLE } from '../../../core/names.ts';
import { type DocumentContent, documentOf, MAX_DOCUMENT_BYTES } from '../../../lib/instance/document.ts';
import { buildProgram } from '../../../lib/instance/program.ts';
import { linesOf } from '../../support/instance/document.ts';

const { sha256 } = buildProgram();
const documents: [string, DocumentContent][] = [
  [RUN_DOCUMENT, documentOf(sha256, null)],
  [LOOK_DOCUMENT, documentOf(sha256, VERBS_FOR_PEOPLE)],
];

describe.each(documents)('%s', (_, document) => {
  it('fits: the agent keeps a copy of each', () => {
    expect(Buffer.byteLength(JSON.stringify(document))).toBeLessThan(MAX_DOCUMENT_BYTES);
  });

  it('names its program', () => {
    expect(linesOf(document).join('\n')).toContain(`SHA256 = "${sha256}"`);
  });

  it('has nothing that the agent would change, but the one parameter', () => {
    const text = linesOf(document).join('\n');
    expect(text.match(/\{\{.*?\}\}/g)).toEqual(['{{ Request }}']);
    expect(text).not.toContain('$$');
  });

  it('takes base64 only, and ends by itself', () => {
    expect(document).toMatchObject({
      schemaVersion: '2.2',
      parameters: { Request: { type: 'String', allowedPattern: '^[A-Za-z0-9+/=]*$' } },
      mainSteps: [{ action: 'aws:runShellScript', inputs: { timeoutSeconds: '60' } }],
    });
  });
});

describe('the two documents', () => {
  it('differ in the verbs that they accept, and in nothing else', () => {
    const [own, peoples] = documents.map(([, document]) => linesOf(document));
    const different = own?.filter((line, index) => line !== peoples?.[index]);
    expect(different).toEqual(['VERBS = ""']);
    expect(peoples).toContain('VERBS = "poll probe fetch"');
    expect(peoples).toHaveLength(own?.length ?? 0);
  });
});

describe('the program', () => {
  it('has the same bytes each time, and others when a file changes', () => {
    expect(buildProgram().sha256).toBe(sha256);
    const folder = mkdtempSync(join(tmpdir(), 'runctl-program-'));
    try {
      const of = (text: string) => {
        writeFileSync(join(folder, '__main__.py'), text);
        return buildProgram(folder).sha256;
      };
      expect(of('a = 1\n')).toBe(of('a = 1\n'));
      expect(of('a = 1\n')).not.toBe(of('a = 2\n'));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
