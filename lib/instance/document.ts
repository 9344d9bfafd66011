import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { deflateSync } from 'node:zlib';
import { describeProgram } from '../../core/names.ts';
import type { RunnerBundle } from './program.ts';

const FOLDER = fileURLToPath(new URL('../../instance/documents/', import.meta.url));
/** A request takes seconds: long work is a job of its own. The agent kills what lasts longer. */
const TIMEOUT_SECONDS = 60;

/** The documents' own limits: the agent keeps a copy of every script it ran, and a week is 30,000 of `job`. */
export const LIMITS = { prepare: 48 * 1024, job: 2 * 1024 } as const;

/** Content of an SSM Command document, schema 2.2. */
export type DocumentContent = Readonly<Record<string, unknown>>;

/** Installs the program that it carries (the runner, or the installer), then runs the request. */
export function prepareDocument(carried: RunnerBundle): DocumentContent {
  const program = [
    code('job.py'),
    code('prepare.py'),
    'text = read()',
    'install(text, sys.stdin.readline())',
    'run(text)',
  ];
  const packed = deflateSync(carried.bytes, { level: 9 }).toString('base64');
  return documentOf(describeProgram(carried.sha256), script(program, packed));
}

/** Runs the request with the runner that is there. */
export function jobDocument(): DocumentContent {
  const program = [code('job.py'), 'run(read())'];
  return documentOf('runctl: runs one request', script(program, null));
}

/** A file's code without comments and blank lines: the document is copied on every poll. What job.py has is there already. */
function code(name: string): string {
  const text = readFileSync(FOLDER + name, 'utf8')
    .split('\n')
    .filter((line) => !/^\s*(#.*)?$|^from job import /.test(line))
    .map((line) => line.replace(/^( {4})+/, (indent) => ' '.repeat(indent.length / 4)))
    .join('\n');
  if (text.includes("'")) throw new Error(`${name} has a single quote: it is put between single quotes in document.sh`);
  return text;
}

function script(program: readonly string[], packed: string | null): string[] {
  const text = readFileSync(`${FOLDER}document.sh`, 'utf8').replace('@@PROGRAM@@', () => program.join('\n'));
  const filled = packed === null ? text.replace('@@RUNNER@@\n', '') : text.replace('@@RUNNER@@', () => packed);
  const lines = filled.split('\n').filter((line) => line !== '' && !/^# /.test(line));
  // The agent makes $ of two of them, and takes {{ x }} for a parameter.
  const odd = lines.filter((line) => line.includes('$$') || (line.includes('{{') && line !== '{{ Request }}'));
  if (odd.length > 0) throw new Error(`the agent would change this line of a document: ${odd[0]}`);
  return lines;
}

function documentOf(description: string, runCommand: string[]): DocumentContent {
  return {
    schemaVersion: '2.2',
    description,
    parameters: {
      Request: { type: 'String', description: 'base64 of a JSON object', allowedPattern: '^[A-Za-z0-9+/=]*$' },
    },
    mainSteps: [
      {
        action: 'aws:runShellScript',
        name: 'run',
        inputs: { timeoutSeconds: String(TIMEOUT_SECONDS), runCommand },
      },
    ],
  };
}
