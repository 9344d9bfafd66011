import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { signPostPolicy } from '../aws/post-policy.ts';
import { CHECKPOINT_SIZES } from '../core/checkpoints/grant.ts';
import { region } from '../local/cloud/credentials.ts';
import type { LocalState } from '../local/cloud/state.ts';
import { bareEnvironment, timed } from './processes.ts';

const RUNNER = join(import.meta.dirname, '../instance/runner');
/** Without versions: what is deleted is gone. */
export const BUCKET = 'bench-checkpoints';
export const PREFIX = 'checkpoint-data/bench/run/';

/** What a checkpoint's uploader prints. */
export interface Sent {
  readonly seconds: number;
  /** Processor time of the uploader and its processes. */
  readonly cpu: number;
}

/**
 * Sends a file as the keeper does, in the process that the keeper starts for it. Needs words: the runner's folder, a folder for its notes,
 * the file, sizes and times; and the right to send on stdin.
 */
export const SEND = `import json, os, resource, sys, time
runner, folder, path, whole, part = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
sys.path.insert(0, runner)
from checkpoints import upload
from common import accounts, keeper_files, marker
os.nice(10)
os.makedirs(keeper_files.folder(folder), exist_ok=True)
keeper_files.write_grant(folder, dict(json.load(sys.stdin), committed=0, wholeBytes=whole, partBytes=part))
info, name = os.stat(path), os.path.basename(path)
work = {"project": os.path.dirname(path), "account": accounts.Account("bench", os.geteuid(), os.getegid(), folder, "/bin/sh")._asdict()}
task = {"seq": 1, "name": name, "signature": [[name, info.st_size, info.st_mtime_ns, info.st_dev, info.st_ino]], "digest": "", "format": "npy",
        "marked": False, "completeSince": time.time(), "modified": info.st_mtime_ns, "sent": {}, "result": None}
begun = time.monotonic()
upload.run(folder, work, task)
seconds = time.monotonic() - begun
if "unit" not in task["result"]:
    sys.exit("not sent: " + task["result"]["failed"])
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps({"seconds": seconds, "cpu": sum(one.ru_utime + one.ru_stime for one in used)}))
`;

/** What the file is sent to. */
export type Target = Pick<LocalState, 'endpoint' | 'credentials'>;

/** The right to send, as a poll brings it. */
export function grantOf({ endpoint, credentials }: Target): string {
  const fields = signPostPolicy({
    credentials,
    region,
    now: new Date(),
    expiresIn: 300,
    bucket: BUCKET,
    conditions: [
      ['starts-with', '$key', PREFIX],
      ['starts-with', '$Content-MD5', ''],
      ['content-length-range', 0, 5 * 1024 ** 3],
    ],
  });
  return JSON.stringify({ url: `${endpoint}/${BUCKET}/`, fields, prefix: PREFIX });
}

export function senderWords(folder: string, file: string): string[] {
  const { wholeBytes, partBytes } = CHECKPOINT_SIZES;
  return ['-I', '-B', '-c', SEND, RUNNER, folder, file, String(wholeBytes), String(partBytes)];
}

/** Sends a file once. */
export async function send(target: Target, folder: string, file: string): Promise<Sent> {
  await rm(folder, { recursive: true, force: true });
  const input = grantOf(target);
  const { stdout } = await timed('python3', senderWords(folder, file), { env: bareEnvironment, input });
  return JSON.parse(stdout) as Sent;
}

/** Random bytes: nothing on the way can make them smaller. */
export async function writeRandom(file: string, bytes: number): Promise<void> {
  const make = `import os, sys
with open(sys.argv[1], "wb") as file:
    for at in range(0, int(sys.argv[2]), 1 << 24):
        file.write(os.urandom(min(1 << 24, int(sys.argv[2]) - at)))
`;
  await timed('python3', ['-I', '-c', make, file, String(bytes)]);
}
