import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { MANIFEST, runFileKey } from '../../../core/names.ts';
import { FILE_POINTS, LOG_FILE, USAGE_FILE } from '../../../core/results/files.ts';
import { usageSample } from './samples.ts';

export const RUN_ID = 'digits-1';
export const STARTED_AT = '2026-11-26T10:00:00.000Z';

/** What a run may leave of its metrics. */
export interface LeftResults {
  readonly log?: string | null;
  /** Lines of points, as the finisher writes them. */
  readonly points?: readonly object[];
  readonly manifest?: object;
}

export const SAMPLE_LOG =
  'start\nepoch=1 loss=0.5 acc=0.7\nepoch=2 loss=0.25 acc=0.8\nepoch=3 loss=nan acc=0.9\nepoch=4 loss=nan acc=1';
export const SAMPLE_POINTS = [
  { name: 'lr', step: 1, value: 0.1, time: 1, source: 'file' },
  { name: 'lr', step: 2, value: null, gap: 'inf', time: 1, source: 'file' },
  { name: 'acc', step: 2, value: 0.85, time: null, source: 'events' },
];

/** The objects of a run in a bucket that has ended. */
export function endedRun({ log = SAMPLE_LOG, points = SAMPLE_POINTS, manifest = {} }: LeftResults = {}) {
  const objects = new Map<string, Uint8Array>();
  const gzip = log === null ? null : gzipSync(log);
  const run = {
    ...{ id: RUN_ID, arn: 'arn', startedAt: STARTED_AT, endedAt: '2026-11-26T11:00:00.000Z', seconds: 3_600 },
  };
  const logs =
    gzip === null
      ? []
      : [{ job: 'train', key: runFileKey(RUN_ID, LOG_FILE), bytes: gzip.length, sha256: sha256(gzip) }];
  const ending = { outcome: 'succeeded', message: 'The training ended.', next: 'Nothing.', exitCode: 0 };
  const spec = { project: 'digits', script: 'train.py' };
  const put = (name: string, content: Uint8Array | string) =>
    void objects.set(runFileKey(RUN_ID, name), Buffer.from(content));
  if (gzip !== null) put(LOG_FILE, gzip);
  put(USAGE_FILE, gzipSync(lines([usageSample({ time: 10 }), usageSample({ time: 20 })])));
  if (points.length > 0) put(FILE_POINTS, gzipSync(lines(points)));
  put(MANIFEST, JSON.stringify({ version: 1, run, ...ending, spec, logs, ...manifest }));
  return objects;
}

const lines = (values: readonly object[]) => values.map((value) => `${JSON.stringify(value)}\n`).join('');

export const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
