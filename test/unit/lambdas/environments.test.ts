import { describe, expect, it } from 'vitest';
import { environmentDataPrefix, environmentManifestKey } from '../../../core/environments/keys.ts';
import type { EnvironmentManifest } from '../../../core/environments/manifest.ts';
import { ENVIRONMENT_PART_BYTES } from '../../../core/environments/store-environment.ts';
import type { EnvironmentReport } from '../../../core/protocol/answers.ts';
import type { EnvironmentList } from '../../../core/protocol/messages.ts';
import type { EnvironmentProgress } from '../../../core/workflow/data.ts';
import { createInstall } from '../../../lambdas/install-requirements.ts';
import { createPoll } from '../../../lambdas/poll-logs.ts';
import { createStart } from '../../../lambdas/start-training.ts';
import { MemoryCheckpointStore, md5 } from '../../support/fakes/checkpoint-store.ts';
import { FakeCommands, fakePorts } from '../../support/fakes/ports.ts';
import { endedStep, jobInput, jobStatus, jobStep, run, spec, watchInput } from '../../support/fakes/samples.ts';

const NOW = 1_795_000_010_000;
const KEY = 'a'.repeat(64);
const SHA256 = 'b'.repeat(64);
const PROJECT = spec.project;
const PREFIX = environmentDataPrefix(PROJECT, KEY, run);
const MANIFEST = environmentManifestKey(PROJECT, KEY);

const sent = (changes: object = {}): EnvironmentReport =>
  ({
    state: 'sent',
    key: KEY,
    sha256: SHA256,
    bytes: 4,
    packages: 7,
    etags: [md5('part')],
    ...changes,
  }) as EnvironmentReport;

function manifest(changes: Partial<EnvironmentManifest> = {}): string {
  const parts = [{ key: `${PREFIX}00000`, versionId: 'v1', bytes: 4, etag: md5('part') }];
  const storedAt = new Date(NOW - 86_400_000).toISOString();
  const of = { version: 1, project: PROJECT, key: KEY, run: { id: 'before', startedAt: storedAt } } as const;
  return JSON.stringify({ ...of, sha256: SHA256, bytes: 4, packages: 7, storedAt, parts, ...changes });
}

describe('Install requirements', () => {
  async function install(changes: object, store = new MemoryCheckpointStore()) {
    const commands = new FakeCommands(jobStatus('install', ''));
    await createInstall({ ...fakePorts(commands), store })(jobInput({ spec: { ...spec, ...changes } }));
    const [asked] = commands.asked as unknown as [{ request: { install: Record<string, unknown> } }];
    return asked.request.install;
  }

  it('offers the environments of the project, each part at its version, by a list', async () => {
    const store = new MemoryCheckpointStore();
    store.put(MANIFEST, manifest());
    store.put(environmentManifestKey('other', KEY), manifest({ project: 'other' }));
    store.put(environmentManifestKey(PROJECT, 'c'.repeat(64)), '{"version": 2}');
    const { reuse, environments } = await install({ environment: 'project' }, store);
    const [key, object] = [...store.objects].at(-1) as [string, { text: string }];
    expect(key).toBe(`pieces/${run.id}/install.json`);
    expect(reuse).toBe(true);
    expect(environments).toEqual({
      url: `https://bucket/${key}?versionId=null`,
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      bytes: object.text.length,
    });
    expect(JSON.parse(object.text) as EnvironmentList).toEqual({
      version: 1,
      environments: [
        {
          key: KEY,
          sha256: SHA256,
          bytes: 4,
          parts: [{ url: `https://bucket/${PREFIX}00000?versionId=v1`, bytes: 4 }],
        },
      ],
    });
  });

  it('offers the ten newest', async () => {
    const store = new MemoryCheckpointStore();
    const keys = Array.from({ length: 12 }, (_, at) => at.toString(16).repeat(64).slice(0, 64));
    for (const key of keys) store.put(environmentManifestKey(PROJECT, key), manifest({ key }));
    await install({ environment: 'project' }, store);
    const list = JSON.parse([...store.objects.values()].at(-1)?.text ?? '') as EnvironmentList;
    expect(list.environments.map(({ key }) => key)).toEqual(keys.slice(2).reverse());
  });

  it('offers none where none is stored, where it is switched off, and for a shared environment', async () => {
    expect(await install({ environment: 'project' })).toMatchObject({ reuse: true, environments: null });
    expect(await install({ environment: 'project', storeEnvironment: false })).not.toHaveProperty('reuse');
    expect(await install({ environment: 'shared' })).not.toHaveProperty('reuse');
  });

  it('installs when they cannot be listed', async () => {
    const store = new MemoryCheckpointStore();
    store.before = () => {
      throw new Error('S3 is down');
    };
    expect(await install({ environment: 'project' }, store)).toMatchObject({ reuse: true });
  });
});

describe('Start training', () => {
  it('remembers the environment of the install', async () => {
    const start = async (environment: unknown) => {
      const commands = new FakeCommands(jobStatus('train', ''));
      const result = { installer: 'uv', environment } as never;
      return createStart(fakePorts(commands))({ ...jobInput({}), install: endedStep('install', 0, { result }) });
    };
    const step = await start({ key: KEY, restored: false, sha256: null, listing: SHA256 });
    expect(step.environment).toEqual({ key: KEY, state: 'new', sha256: null });
    expect(await start(undefined)).not.toHaveProperty('environment');
    expect(await start({ key: '../x', restored: false, sha256: null })).not.toHaveProperty('environment');
  });
});

describe('a poll of a training', () => {
  async function poll(
    environment: EnvironmentProgress,
    answer: EnvironmentReport | null,
    store: MemoryCheckpointStore,
  ) {
    const commands = new FakeCommands(jobStatus('train', 'x\n', { environment: answer }));
    const errors: Error[] = [];
    const ports = {
      ...fakePorts(commands, undefined, NOW),
      checkpoints: store,
      onCheckpointError: (error: Error) => void errors.push(error),
    };
    const step = await createPoll(ports)(watchInput(jobStep('train', { environment })));
    return { step, environment: step.environment, request: commands.asked[0]?.request, errors };
  }
  const fresh: EnvironmentProgress = { key: KEY, state: 'new', sha256: null };
  const pending: EnvironmentProgress = { ...fresh, state: 'pending' };

  it('brings the right to store an environment that is not stored, below a prefix of the run and the key', async () => {
    const { request, environment } = await poll(fresh, { state: 'packing' }, new MemoryCheckpointStore());
    expect(request).toMatchObject({
      environment: { prefix: PREFIX, fields: { policy: PREFIX }, partBytes: ENVIRONMENT_PART_BYTES },
    });
    expect(environment).toMatchObject({ state: 'pending' });
  });

  it('brings none for one that is stored, and pins its digest', async () => {
    const store = new MemoryCheckpointStore();
    store.put(MANIFEST, manifest());
    const { request, environment } = await poll(fresh, null, store);
    expect(request).not.toHaveProperty('environment');
    expect(environment).toEqual({ key: KEY, state: 'stored', sha256: SHA256 });
  });

  it('stores one again that is 15 days old, in place of the other', async () => {
    const store = new MemoryCheckpointStore();
    store.put(MANIFEST, manifest({ storedAt: new Date(NOW - 16 * 86_400_000).toISOString() }));
    store.put(`${PREFIX}00000`, 'part');
    const { environment } = await poll(fresh, sent(), store);
    expect(environment).toMatchObject({ state: 'stored' });
    expect(JSON.parse(store.objects.get(MANIFEST)?.text ?? '')).toMatchObject({ run: { id: run.id } });
  });

  it('commits what was sent, at its version', async () => {
    const store = new MemoryCheckpointStore();
    store.put(`${PREFIX}00000`, 'part');
    const { environment } = await poll(pending, sent(), store);
    expect(environment).toEqual({ key: KEY, state: 'stored', sha256: SHA256 });
    expect(JSON.parse(store.objects.get(MANIFEST)?.text ?? '')).toEqual({
      version: 1,
      project: PROJECT,
      key: KEY,
      run: { id: run.id, startedAt: run.startedAt },
      sha256: SHA256,
      bytes: 4,
      packages: 7,
      storedAt: new Date(NOW).toISOString(),
      parts: [{ key: `${PREFIX}00000`, versionId: 'v1', bytes: 4, etag: md5('part') }],
    });
  });

  it('leaves the one that another run has stored meanwhile', async () => {
    const store = new MemoryCheckpointStore();
    store.put(`${PREFIX}00000`, 'part');
    const theirs = manifest({ sha256: 'd'.repeat(64) });
    store.put(MANIFEST, theirs);
    const { environment } = await poll(pending, sent(), store);
    expect(environment).toMatchObject({ state: 'stored', sha256: 'd'.repeat(64) });
    expect(store.objects.get(MANIFEST)?.text).toBe(theirs);
  });

  it.each([
    ['a part that is missing', sent(), {}, /00000 is missing/],
    ['another part', sent(), { [`${PREFIX}00000`]: 'PART' }, /00000 is another one/],
    ['another size', sent({ bytes: 5 }), { [`${PREFIX}00000`]: 'part' }, /00000 is another one/],
    ['parts that do not make up the size', sent({ bytes: ENVIRONMENT_PART_BYTES + 1 }), {}, /do not make up its size/],
    ['another key', sent({ key: 'e'.repeat(64) }), { [`${PREFIX}00000`]: 'part' }, /another environment/],
    ['a failure', { state: 'failed', message: 'its files have changed' }, {}, /have changed/],
  ] as [string, EnvironmentReport, Record<string, string>, RegExp][])(
    'commits nothing of %s',
    async (_, answer, there, why) => {
      const store = new MemoryCheckpointStore();
      for (const [key, text] of Object.entries(there)) store.put(key, text);
      const { environment } = await poll(pending, answer, store);
      expect(environment).toMatchObject({ state: 'not-stored', why: expect.stringMatching(why) });
      expect(store.objects.has(MANIFEST)).toBe(false);
    },
  );

  it('goes on while S3 gives no answer, and with a report that is not one', async () => {
    const store = new MemoryCheckpointStore();
    store.before = () => {
      throw new Error('S3 is down');
    };
    const first = await poll(fresh, null, store);
    expect(first.step).toMatchObject({ state: 'running', cursor: { offset: 2 } });
    expect(first).toMatchObject({ environment: { state: 'new' }, errors: [{ message: 'S3 is down' }] });
    expect((await poll(pending, sent(), store)).environment).toEqual(pending);
    const odd = await poll(pending, { state: 'sent', etags: [] } as never, new MemoryCheckpointStore());
    expect(odd.environment).toEqual(pending);
  });

  it('is not asked again for one that is settled', async () => {
    const store = new MemoryCheckpointStore();
    const settled: EnvironmentProgress = { ...fresh, state: 'not-stored', why: 'it is too large' };
    const { request, environment } = await poll(settled, null, store);
    expect(request).not.toHaveProperty('environment');
    expect(environment).toEqual(settled);
  });
});
