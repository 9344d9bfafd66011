import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { DocumentContent } from '../../../lib/instance/document.ts';

export interface DocumentAnswer {
  readonly status: number | null;
  readonly stderr: string;
  readonly stdout: string;
  readonly answer: unknown;
}

export function linesOf(document: DocumentContent): string[] {
  const { mainSteps } = document as { mainSteps: { inputs: { runCommand: string[] } }[] };
  return mainSteps[0]?.inputs.runCommand ?? [];
}

export interface DocumentOptions {
  readonly path?: string;
  /** The user that runs it (only in tests that run as root). */
  readonly uid?: number;
}

/** Runs a document's script as the agent does: from a file, by sh, without HOME, with empty standard input. */
export async function runDocument(
  document: DocumentContent,
  request: object | string,
  folder: string,
  { path = process.env.PATH ?? '', uid }: DocumentOptions = {},
): Promise<DocumentAnswer> {
  const encoded = Buffer.from(typeof request === 'string' ? request : JSON.stringify(request)).toString('base64');
  const script = join(folder, '_script.sh');
  const lines = linesOf(document).join('\n');
  writeFileSync(
    script,
    lines.replace('{{ Request }}', () => encoded),
    { mode: 0o755 },
  );
  const child = spawn('/bin/sh', ['-c', script.replaceAll(' ', '\\ ')], {
    env: { PATH: path, LANG: 'C.UTF-8' },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(uid === undefined ? {} : { uid, gid: uid }),
  });
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  const [stdout, stderr, status] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { status, stderr, stdout, answer: stdout === '' ? null : (JSON.parse(stdout) as unknown) };
}
