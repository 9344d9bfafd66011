import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { VERBS_FOR_PEOPLE } from '../../core/names.ts';

const FOLDER = fileURLToPath(new URL('../../instance/document/', import.meta.url));
/** A request takes seconds: long work is a job of its own. The agent kills what lasts longer. */
const TIMEOUT_SECONDS = 60;

/** Bytes of a document's content. The agent keeps a copy of every script that it ran, and a run of a week sends 30,000 commands. */
export const MAX_DOCUMENT_BYTES = 4 * 1024;

/** Content of an SSM Command document, schema 2.2. */
export type DocumentContent = Readonly<Record<string, unknown>>;

/**
 * A document that runs one request with the program of this SHA-256.
 * @param verbs the only verbs that it accepts; null: all
 */
export function documentOf(sha256: string, verbs: typeof VERBS_FOR_PEOPLE | null): DocumentContent {
  const program = withoutComments('run.py')
    .replace('@@SHA256@@', sha256)
    .replace('@@VERBS@@', (verbs ?? []).join(' '));
  return {
    schemaVersion: '2.2',
    description: `runctl: runs one request with the program ${sha256}`,
    parameters: {
      Request: { type: 'String', description: 'base64 of a JSON object', allowedPattern: '^[A-Za-z0-9+/=]*$' },
    },
    mainSteps: [
      {
        action: 'aws:runShellScript',
        name: 'run',
        inputs: { timeoutSeconds: String(TIMEOUT_SECONDS), runCommand: shellLines(program) },
      },
    ],
  };
}

/** Without comments, blank lines and annotations, and with one space for four: the agent copies the document on every poll. */
function withoutComments(name: string): string {
  const text = readFileSync(FOLDER + name, 'utf8')
    .split('\n')
    .filter((line) => !/^\s*(#.*)?$/.test(line))
    .map((line) => line.replace(/^( {4})+/, (indent) => ' '.repeat(indent.length / 4)))
    .map((line) => (line.startsWith('def ') ? line.replace(/: [\w.]+(?=[,)])| -> \w+(?=:$)/g, '') : line))
    .join('\n');
  if (text.includes("'")) throw new Error(`${name} has a single quote, and document.sh puts it between single quotes`);
  return text;
}

function shellLines(program: string): string[] {
  const text = readFileSync(`${FOLDER}document.sh`, 'utf8').replace('@@PROGRAM@@', () => program);
  const lines = text.split('\n').filter((line) => line !== '' && !/^# /.test(line));
  // The agent replaces $$ by $, and takes {{ x }} for a parameter.
  const odd = lines.filter((line) => line.includes('$$') || (line.includes('{{') && line !== '{{ Request }}'));
  if (odd.length > 0) throw new Error(`the agent would change this line of a document: ${odd[0]}`);
  return lines;
}
