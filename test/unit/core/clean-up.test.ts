import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { describe, expect, it } from 'vitest';
import { RunError } from '../../../core/errors.ts';
import type { InstanceCommands } from '../../../core/job/instance-commands.ts';
import { beginCleanUp, cleanUp, type Ending } from '../../../core/outcome/clean-up.ts';
import { PartsBroken } from '../../../core/outcome/output-parts.ts';
import { MAX_REQUEST_BYTES, type RunnerRequest, type UploadRequest } from '../../../core/protocol/messages.ts';
import type { CleanUpProgress } from '../../../core/workflow/data.ts';
import { FakeLogStore } from '../../support/fakes/log-store.ts';
import { FakeCommands, fakeCleanUpPorts } from '../../support/fakes/ports.ts';
import {
  archive,
  endedStep,
  exit,
  firstTry,
  instance,
  jobStatus,
  jobStep,
  run,
  spec,
} from '../../support/fakes/samples.ts';

const NOW = 1_795_000_010;
const HOURS = 3_600;
const ok = (fields: object) => ({ protocol: 1, ok: true, ...fields });
const refusal = (name: string) => ({ protocol: 1, ok: false, error: { name, message: 'why' } });
const silent = new RunError('AgentSilent', 'no word');
const FILE = { name: 'train.log.gz', bytes: 7, sha256: 'c'.repeat(64) };
const collecting = ok({ state: 'collecting', jobs: { train: 'exited' }, files: null, warnings: [] });
const collected = ok({ state: 'collected', jobs: { train: 'exited' }, files: [FILE], warnings: ['one is too big'] });
const nothing = ok({ state: 'collected', jobs: { train: 'exited' }, files: [], warnings: [] });
const uploading = ok({ state: 'uploading', failed: {} });
const uploaded = ok({ state: 'uploaded', failed: {} });
const released = ok({ released: true, jobs: { train: 'exited' } });

function end(
  answers: (object | Error)[],
  changes: Partial<Omit<Ending, 'progress'>> & { progress?: Partial<CleanUpProgress> } = {},
  logs = new FakeLogStore(),
) {
  const commands = new FakeCommands(...answers);
  const steps = { sync: endedStep('sync', 0), install: null, train: endedStep('train', 0) };
  const progress = { ...beginCleanUp(NOW * 1_000), ...changes.progress };
  const rest = { run, spec, archive, instance, context: firstTry, grace: 30, steps, maxSilent: 3 };
  const turn = cleanUp(fakeCleanUpPorts(commands, { logs }), { ...rest, until: NOW * 1_000 + 1, ...changes, progress });
  return { turn, asked: () => commands.asked.map(({ request }) => request.verb), commands, logs };
}

describe('a phase that is not over', () => {
  it.each([
    ['collect', collecting],
    ['upload', uploading],
  ] as const)('%s: comes back in a moment, and later more rarely', async (phase, answer) => {
    const at = (since: number) => end([answer], { progress: { phase, since, files: [FILE] } }).turn;
    expect(await at(NOW)).toMatchObject({ wait: 2, progress: { phase } });
    expect(await at(NOW - 600)).toMatchObject({ wait: 20, progress: { phase } });
  });

  it('continues where it stopped, and requests nothing twice', async () => {
    const { turn, asked, commands } = end([uploaded, released], { progress: { phase: 'upload', files: [FILE] } });
    expect(await turn).toMatchObject({ wait: null, progress: { phase: 'done', uploaded: ['train.log.gz'] } });
    expect(asked()).toEqual(['upload', 'release']);
    expect(commands.asked[0]?.request).toMatchObject({
      puts: { 'train.log.gz': 'https://signed.example/put/runs/demo-1/train.log.gz' },
    });
  });

  it('starts no request after its time, and reports its progress', async () => {
    const { turn, asked } = end([collected], { until: 0 });
    expect(await turn).toMatchObject({ wait: 0, progress: { phase: 'upload', warnings: ['one is too big'] } });
    expect(asked()).toEqual(['collect']);
  });

  it.each([
    ['collect', collecting, ['collect', 'release'], {}],
    ['upload', uploading, ['upload', 'release'], { files: [FILE] }],
  ] as const)('%s is given up after two hours, and the instance is given back', async (phase, answer, asked, more) => {
    const since = NOW - 2 * HOURS - 1;
    const ended = end([answer, released], { progress: { phase, since, ...more } });
    expect(await ended.turn).toMatchObject({ wait: null, progress: { phase: 'done', uploaded: [] } });
    expect(ended.asked()).toEqual(asked);
    expect((await ended.turn).progress.warnings).toEqual([expect.stringContaining('2 hours')]);
  });
});

describe('a file that one PUT does not take', () => {
  const BIG = { name: 'outputs.tar.gz', bytes: 11, sha256: 'd'.repeat(64) };
  const ETAG = 'e'.repeat(32);
  const inParts = ok({ state: 'uploaded', failed: {}, parts: { [BIG.name]: { bytes: 5, etag: ETAG } } });

  /** joins: what each call of join returns or throws. */
  function send(
    answers: (object | Error)[],
    joins: (string | null | Error)[],
    progress: Partial<CleanUpProgress> = {},
  ) {
    const joined: unknown[][] = [];
    const parts = {
      wholeBytes: 10,
      partBytes: 4,
      grant: (prefix: string) => Promise.resolve({ url: 'https://bucket/', fields: { policy: prefix } }),
      join: (...call: unknown[]) => {
        joined.push(call);
        const result = joins.shift() ?? null;
        return result instanceof Error ? Promise.reject(result) : Promise.resolve(result);
      },
    };
    const commands = new FakeCommands(...answers);
    const steps = { sync: endedStep('sync', 0), install: null, train: endedStep('train', 0) };
    const begun = { ...beginCleanUp(NOW * 1_000), phase: 'upload', files: [FILE, BIG], ...progress } as const;
    const rest = { run, spec, archive, instance, context: firstTry, grace: 30, steps, maxSilent: 3 };
    const ending = { ...rest, progress: begun, until: NOW * 1_000 + 1 };
    const turn = cleanUp({ ...fakeCleanUpPorts(commands), parts }, ending);
    return { turn, joined, asked: () => commands.asked.map(({ request }) => request as UploadRequest) };
  }

  it('is sent in parts below the prefix of its run, and joined when the instance has been given back', async () => {
    const { turn, joined, asked } = send([inParts, released], ['u1', null]);
    expect(await turn).toMatchObject({
      wait: null,
      progress: { phase: 'done', uploaded: [FILE.name, BIG.name], joins: [], warnings: [] },
    });
    const prefix = `pieces/${run.id}/parts/${BIG.name}/`;
    expect(asked()[0]).toMatchObject({
      puts: { [FILE.name]: expect.any(String) },
      parts: { [BIG.name]: { url: 'https://bucket/', fields: { policy: prefix }, prefix, partBytes: 4 } },
    });
    const from = { prefix, bytes: BIG.bytes, listEtag: ETAG };
    const until = NOW * 1_000 + 1;
    expect(joined).toEqual([
      [from, `runs/${run.id}/${BIG.name}`, null, until],
      [from, `runs/${run.id}/${BIG.name}`, 'u1', until],
    ]);
  });

  it('gets a new right with each request while it is sent', async () => {
    const { turn, asked } = send([uploading], []);
    expect(await turn).toMatchObject({ wait: 2, progress: { phase: 'upload' } });
    expect(asked()[0]?.parts).toHaveProperty([BIG.name]);
  });

  it.each<[string, object, (string | null | Error)[], string]>([
    ['could not be sent', ok({ state: 'uploaded', failed: { [BIG.name]: 'no' }, parts: {} }), [], 'no'],
    ['is of a program that sends no parts', uploaded, [], 'not listed'],
    ['was changed in S3', inParts, [new PartsBroken('it is another one')], 'it is another one'],
  ])('that %s is a warning, and the run ends', async (_, answer, joins, why) => {
    const { turn } = send([answer, released], joins);
    const { wait, progress } = await turn;
    expect(wait).toBeNull();
    expect(progress).toMatchObject({ phase: 'done', uploaded: [FILE.name] });
    expect(progress.warnings).toEqual([expect.stringContaining(why)]);
    expect(progress.warnings[0]).toContain('outputs.tar.gz was not uploaded to S3');
  });

  it('is joined although the instance is lost after it was sent', async () => {
    const joins = [{ name: BIG.name, listEtag: ETAG, uploadId: null }];
    const { turn } = send([silent], [null], { phase: 'release', joins, failures: 2 });
    expect(await turn).toMatchObject({ progress: { phase: 'done', uploaded: [BIG.name], joins: [] } });
  });

  it('is tried again when S3 is not available', async () => {
    const busy = new RunError('ServiceUnavailable', 'slow down');
    const joins = [{ name: BIG.name, listEtag: ETAG, uploadId: 'u1' }];
    const { turn } = send([], [busy], { phase: 'join', joins });
    expect(await turn).toMatchObject({ wait: 20, progress: { phase: 'join', joins, failures: 1 } });
  });

  it('has more than two hours', async () => {
    const large = { ...BIG, bytes: 360e9 };
    const at = (hours: number) => ({ phase: 'upload', since: NOW - hours * HOURS, files: [large] }) as const;
    expect(await send([uploading], [], at(5.9)).turn).toMatchObject({ wait: 20, progress: { phase: 'upload' } });
    const { progress } = await send([uploading, released], [], at(6.1)).turn;
    expect(progress.warnings).toEqual(['The phase upload timed out after 6 hours.']);
  });
});

describe('a long session token', () => {
  // Six files: all that the instance may ever collect are fewer.
  const files = ['sync', 'install', 'train', 'outputs', 'inventory', 'more'].map((name) => ({ ...FILE, name }));

  /** Clean-up whose URLs are signed with a token of so many characters; the instance uploads what it is asked. */
  async function upload(characters: number, answer: () => object = () => uploaded) {
    const sessionToken = 'IQoJb3JpZ2luX2Vj/+'.repeat(characters).slice(0, characters);
    const credentials = { accessKeyId: 'A'.repeat(20), secretAccessKey: 'b'.repeat(40), sessionToken };
    const s3 = new S3Client({ region: 'eu-central-1', credentials });
    const asked: UploadRequest[] = [];
    const ask = (_: string, __: unknown, request: RunnerRequest) => {
      if (request.verb === 'upload') asked.push(request);
      return Promise.resolve(request.verb === 'upload' ? answer() : released);
    };
    const ports = fakeCleanUpPorts({ ask: ask as InstanceCommands['ask'] });
    const sign = (Key: string) => getSignedUrl(s3, new PutObjectCommand({ Bucket: 'uploads', Key }));
    const steps = { sync: endedStep('sync', 0), install: null, train: endedStep('train', 0) };
    const progress = { ...beginCleanUp(NOW * 1_000), phase: 'upload', files } as const;
    const ending = { run, spec, archive, instance, context: firstTry, grace: 30, steps, progress, maxSilent: 3 };
    const turn = await cleanUp({ ...ports, presignPut: sign }, { ...ending, until: NOW * 1_000 + 1 });
    return { turn, asked };
  }

  it('of 4,096 characters is in each URL: several requests carry them, each within the limit', async () => {
    const { turn, asked } = await upload(4_096);
    expect(asked.length).toBeGreaterThan(1);
    for (const request of asked) expect(JSON.stringify(request).length).toBeLessThanOrEqual(MAX_REQUEST_BYTES);
    expect(asked.flatMap(({ puts }) => Object.keys(puts))).toEqual(files.map(({ name }) => name));
    expect(turn).toMatchObject({ wait: null, progress: { phase: 'done', warnings: [] } });
    expect(turn.progress.uploaded).toEqual(files.map(({ name }) => name));
  });

  it('does not repeat a file that could not be sent', async () => {
    const { turn, asked } = await upload(4_096, () => ok({ state: 'uploaded', failed: { train: 'S3 answered 403' } }));
    expect(asked.flatMap(({ puts }) => Object.keys(puts))).toEqual(files.map(({ name }) => name));
    expect(turn.progress.uploaded).not.toContain('train');
    expect(turn.progress.warnings).toEqual([expect.stringContaining('train was not uploaded')]);
  });

  it('of usual length leaves room for all URLs in one request', async () => {
    expect((await upload(1_000)).asked).toHaveLength(1);
  });
});

describe('an error becomes a warning', () => {
  it.each([
    ['collect', 'not collected'],
    ['upload', 'not uploaded to S3'],
    ['release', 'lease of the instance was not released'],
    ['drain', 'last log lines'],
  ] as const)('%s: a silent agent is borne, then nothing more is asked of it', async (phase, said) => {
    const progress = { phase, files: [FILE], jobs: { train: 'running' as const } };
    const steps = { sync: endedStep('sync', 0), install: null, train: jobStep('train') };
    const first = await end([silent], { progress, steps }).turn;
    expect(first).toMatchObject({ wait: 20, progress: { phase, failures: 1, warnings: [] } });
    const last = end([silent], { progress: { ...progress, failures: 2 }, steps });
    expect(await last.turn).toMatchObject({ wait: null, progress: { phase: 'done' } });
    expect((await last.turn).progress.warnings).toEqual([expect.stringContaining(said)]);
  });

  it('counts only silence without a word between', async () => {
    const { turn } = end([collecting], { progress: { failures: 2 } });
    expect(await turn).toMatchObject({ progress: { phase: 'collect', failures: 0 } });
  });

  it.each(['RunnerBroken', 'DiskFull', 'NoUser'])(
    '%s: refused once is refused, the lease is given back',
    async (name) => {
      const { turn, asked } = end([refusal(name), released]);
      expect((await turn).progress.warnings).toEqual([expect.stringContaining('why')]);
      expect(asked()).toEqual(['collect', 'release']);
    },
  );

  it('says of each file that could not be sent why, and keeps the others', async () => {
    const other = { ...FILE, name: 'outputs.tar.gz' };
    const answer = ok({ state: 'uploaded', failed: { 'outputs.tar.gz': 'S3 answered 403' } });
    const { turn } = end([answer, released], { progress: { phase: 'upload', files: [FILE, other] } });
    expect((await turn).progress).toMatchObject({
      uploaded: ['train.log.gz'],
      warnings: [expect.stringMatching(/^outputs\.tar\.gz .*S3 answered 403/)],
    });
  });

  it('takes what was collected and is gone for not sent', async () => {
    const { turn } = end([ok({ state: 'absent', failed: {} }), released], {
      progress: { phase: 'upload', files: [FILE] },
    });
    expect((await turn).progress).toMatchObject({ uploaded: [], warnings: [expect.stringContaining('missing')] });
  });

  it('says that something of the run still lives', async () => {
    const { turn } = end([ok({ released: false, jobs: {} })], { progress: { phase: 'release', files: [] } });
    expect((await turn).progress.warnings).toEqual([expect.stringContaining('still running')]);
  });
});

describe('what was never there', () => {
  it('if nothing is collected, there is no warning and no upload', async () => {
    const { turn, asked } = end([nothing, released]);
    expect((await turn).progress).toMatchObject({ phase: 'done', files: [], uploaded: [], warnings: [] });
    expect(asked()).toEqual(['collect', 'release']);
  });

  it.each(['ProgramUntrusted', 'PythonMissing'])('nothing is left of a run that met %s first of all', async (name) => {
    const steps = { sync: null, install: null, train: null };
    const { turn, asked } = end([refusal(name)], { steps });
    expect((await turn).progress).toMatchObject({ phase: 'done', warnings: [] });
    expect(asked()).toEqual(['collect']);
  });

  it.each(['busy', 'refused'] as const)('a run that was %s at the door only gives its ticket back', async (state) => {
    const steps = { sync: jobStep('sync', { state }), install: null, train: null };
    const { turn, asked } = end([ok({ released: true, jobs: {} })], { steps });
    expect((await turn).progress.phase).toBe('done');
    expect(asked()).toEqual(['release']);
  });
});

describe('the rest of the logs', () => {
  it('is shipped to its end, job after job, without what is already there', async () => {
    const logs = new FakeLogStore();
    await logs.put('demo-1/train', ['one\n'], 1_000);
    const ended = { state: 'stopped', reason: 'stop', exit: exit() } as const;
    const part = jobStatus('train', 'one\n').log;
    const first = jobStatus('train', '', { ...ended, log: { ...part, size: 8 } });
    const second = jobStatus('train', '', {
      ...ended,
      log: { ...jobStatus('train', 'two\n').log, offset: 4, size: 8 },
    });
    const sync = jobStatus('sync', 'synced\n', { state: 'exited', exit: exit() });
    const progress = { phase: 'drain', jobs: { sync: 'exited', train: 'stopped' } } as const;
    const steps = { sync: jobStep('sync'), install: null, train: jobStep('train') };
    const { turn, asked } = end([sync, first, second], { progress, steps }, logs);
    expect(await turn).toMatchObject({ wait: null, steps: { train: { ended: true, cursor: { offset: 8 } } } });
    expect(asked()).toEqual(['poll', 'poll', 'poll']);
    expect([logs.text('demo-1/sync'), logs.text('demo-1/train')]).toEqual(['synced\n', 'one\ntwo\n']);
  });

  it('takes a job of an earlier attempt that the last one did not come to for none of it', async () => {
    const absent = jobStatus('restore', '', { state: 'absent', pid: null });
    const progress = { phase: 'drain', jobs: { restore: 'exited' } } as const;
    const steps = { sync: endedStep('sync', 0), install: endedStep('install', 3), restore: null, train: null };
    const { turn, asked } = end([absent], { progress, steps });
    expect(await turn).toMatchObject({ wait: null, steps: { restore: null } });
    expect(asked()).toEqual(['poll']);
  });
});
