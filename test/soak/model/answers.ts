import { gzipSync } from 'node:zlib';
import type { JobName } from '../../../core/names.ts';
import type { JobState, JobStatus } from '../../../core/protocol/answers.ts';
import type { ModelJob } from './job.ts';

/** instance/CONTRACT.md: an answer is at most 23,500 bytes. The log, as base64, fills the space that is left. */
const ANSWER_BYTES = 23_500;
const EMPTY = gzipSync('').toString('base64');

export function blank(job: JobName, state: JobState, now: number, bootId: string): JobStatus {
  return {
    job,
    state,
    reason: null,
    holder: null,
    queue: null,
    pid: null,
    startedAt: null,
    now,
    exit: null,
    progress: null,
    usage: null,
    checkpoints: null,
    environment: null,
    result: null,
    log: { offset: 0, bytes: 0, size: 0, data: EMPTY, put: null },
    tail: null,
    bootId,
  };
}

/** The job status of a job that has a folder, with as much of its log as fits. */
export function describe(
  job: ModelJob,
  state: JobState,
  request: { offset: number; maxBytes: number },
  about: { now: number; bootId: string; checkpoints?: JobStatus['checkpoints'] },
): JobStatus {
  const { exit, identity, log } = job;
  const ended = state !== 'running' && state !== 'absent';
  const offset = request.offset > log.length && state !== 'running' ? 0 : request.offset;
  const status: JobStatus = {
    ...blank(job.name, state, about.now, about.bootId),
    pid: identity?.pid ?? null,
    startedAt: identity?.startedAt ?? null,
    exit: exit && {
      code: exit.code,
      signal: exit.signal,
      endedAt: exit.endedAt,
      maxRssBytes: exit.maxRssBytes,
      outOfMemory: exit.outOfMemory,
    },
    reason: exit?.reason ?? null,
    result: exit?.result ?? null,
    tail: ended ? tail(log) : null,
    ...(about.checkpoints ? { checkpoints: about.checkpoints } : {}),
  };
  const room = ANSWER_BYTES - JSON.stringify(status).length - 100;
  const { bytes, data } = pack(log.subarray(offset, offset + request.maxBytes), room);
  return { ...status, log: { offset, bytes, size: log.length, data, put: null } };
}

function pack(available: Buffer, room: number): { bytes: number; data: string } {
  if (available.length === 0) return { bytes: 0, data: EMPTY };
  for (let bytes = available.length; ; bytes = Math.floor((bytes * 3) / 4)) {
    const data = gzipSync(available.subarray(0, bytes), { level: 1 }).toString('base64');
    if (data.length <= room) return { bytes, data };
  }
}

function tail(log: Buffer): string[] {
  const text = log.subarray(-4_000).toString('utf8').replace(/\n$/, '');
  return text === '' ? [] : text.split('\n').slice(-20);
}
