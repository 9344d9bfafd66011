import { createHash } from 'node:crypto';
import type { JobResult } from '../../../core/protocol/answers.ts';
import type { RestoreList, RestoreRequest } from '../../../core/protocol/messages.ts';
import type { Random } from '../random.ts';
import type { JobPlan } from './job.ts';

/** A GET of a presigned URL. Returns the bytes, or null if there were none. */
export type FetchUrl = (url: string) => Buffer | null;

/** What a restore has brought: name and bytes of a checkpoint. */
export interface Restored {
  readonly name: string;
  readonly content: string;
}

/** What restores have brought to the project's folder. */
export class Disk {
  readonly files = new Map<string, string>();
  /** By attempt. */
  readonly restored = new Map<number, Restored>();
}

export interface RestorePorts {
  readonly disk: Disk;
  /** Called when all files are in their places. */
  readonly done: (restored: Restored) => void;
  readonly random: Random;
  readonly fetchUrl: FetchUrl;
}

const md5 = (bytes: Buffer) => createHash('md5').update(bytes).digest('hex');
const failed = (message: string) => ({
  end: { code: 1, signal: null, outOfMemory: false },
  result: { error: { name: 'RestoreFailed', message } },
});

/** As the package `restore`: fetches all files of the list when the drawn time is over, or none. A drawn failure is passing. */
export function restorePlan(drawn: JobPlan, request: RestoreRequest, ports: RestorePorts): JobPlan {
  const isUnlucky = drawn.end.code !== 0 && ports.random.chance(0.5);
  return { ...drawn, finish: () => (isUnlucky ? failed('connections broke') : restore(request, ports)) };
}

/** Whether a file in the project has the size and the MD5s of the list. */
function isSame(file: Buffer, parts: RestoreList['files'][number]['parts']): boolean {
  let at = 0;
  for (const { bytes, md5: expected } of parts) {
    if (md5(file.subarray(at, at + bytes)) !== expected) return false;
    at += bytes;
  }
  return at === file.length;
}

function restore({ list, name }: RestoreRequest, { disk, fetchUrl, done }: RestorePorts) {
  const text = fetchUrl(list.url);
  if (text === null) return failed('the list cannot be fetched');
  if (text.length !== list.bytes || createHash('sha256').update(text).digest('hex') !== list.sha256)
    return failed('the list is another one');
  const { files } = JSON.parse(text.toString()) as RestoreList;
  const contents = new Map<string, string>();
  let kept = 0;
  for (const { path, parts } of files) {
    const there = disk.files.get(path);
    if (there !== undefined && isSame(Buffer.from(there), parts)) {
      kept += 1;
      contents.set(path, there);
      continue;
    }
    const bodies = parts.map(({ url, bytes, md5: expected }) => {
      const body = fetchUrl(url);
      return body?.length === bytes && md5(body) === expected ? body : null;
    });
    if (bodies.some((body) => body === null)) return failed(`${path} cannot be fetched`);
    contents.set(path, Buffer.concat(bodies as Buffer[]).toString());
  }
  for (const [path, content] of contents) disk.files.set(path, content);
  done({ name, content: [...contents.values()].join('') });
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  const result: JobResult = { restored: name, files: files.length, bytes, kept };
  return { end: { code: 0, signal: null, outOfMemory: false }, result };
}
