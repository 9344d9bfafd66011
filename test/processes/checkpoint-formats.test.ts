import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const FIXTURES = path('../fixtures/checkpoints');

function run<Result>(script: string): Result {
  const work = mkdtempSync(join(tmpdir(), 'runctl-checkpoints-'));
  try {
    const words = ['-B', path(script), path('../../instance/runner'), FIXTURES, work];
    return JSON.parse(execFileSync('python3', words, { encoding: 'utf8' }));
  } finally {
    rmSync(work, { recursive: true });
  }
}

/** The unit in each fixture, and the format that it has. Made by the libraries themselves, see make.py. */
const FORMATS: Readonly<Record<string, readonly [unit: string, format: string]>> = {
  'array.npy': ['array.npy', 'npy'],
  'arrays.joblib': ['arrays.joblib', 'pickle'],
  'arrays.npz': ['arrays.npz', 'zip'],
  dcp: ['dcp', 'dcp'],
  deepspeed: ['global_step10', 'deepspeed'],
  'lightgbm.txt': ['lightgbm.txt', 'lightgbm'],
  'lightning.ckpt': ['lightning.ckpt', 'torch'],
  megatron: ['iter_0000020', 'megatron'],
  'model-2.pkl': ['model-2.pkl', 'pickle'],
  'model-4.pkl': ['model-4.pkl', 'pickle'],
  'model-5.pkl': ['model-5.pkl', 'pickle'],
  'model.keras': ['model.keras', 'keras'],
  'model.safetensors': ['model.safetensors', 'safetensors'],
  'model.weights.h5': ['model.weights.h5', 'hdf5'],
  'packed.joblib': ['packed.joblib', 'compressed'],
  'packed.joblib.gz': ['packed.joblib.gz', 'compressed'],
  'packed.joblib.xz': ['packed.joblib.xz', 'compressed'],
  shards: ['model.safetensors', 'shards'],
  'sklearn.joblib': ['sklearn.joblib', 'pickle'],
  'tensor-bundle': ['ckpt-1', 'tensorflow'],
  'torch.pt': ['torch.pt', 'torch'],
  trainer: ['trainer', 'trainer'],
  'v0.h5': ['v0.h5', 'hdf5'],
  'v3.h5': ['v3.h5', 'hdf5'],
  'xgboost.json': ['xgboost.json', 'json'],
  'xgboost.ubj': ['xgboost.ubj', 'ubjson'],
};

describe('a checkpoint', () => {
  type Judged = Record<string, { whole: object; tried: number; wrong: unknown[] }>;
  let judged: Judged;
  beforeAll(() => {
    judged = run<Judged>('checkpoint-formats.py');
  }, 120_000);

  it('of the fixtures has a format in this list', () => {
    const fixtures = readdirSync(FIXTURES).filter((name) => name !== 'make.py' && !name.startsWith('__'));
    expect(fixtures.sort()).toEqual(Object.keys(FORMATS).sort());
  });

  it.each(Object.entries(FORMATS))('%s is complete as its library wrote it', (name, [unit, format]) => {
    expect(judged[name]?.whole).toEqual({ [unit]: [format, null] });
  });

  it.each(Object.keys(FORMATS))('%s is not complete when a file of it is cut off anywhere', (name) => {
    expect(judged[name]?.wrong).toEqual([]);
    expect(judged[name]?.tried).toBeGreaterThan(50);
  });
});

describe('looks at the checkpoints of a training', () => {
  let seen: Record<string, unknown>;
  beforeAll(() => {
    seen = run('checkpoint-judge.py');
  }, 60_000);

  const A = ['checkpoints/a.pt'];
  it('find a file that is the same for 5 s, and again after a change', () => {
    expect(seen.quiet).toEqual([[], [], A, A, [], [], A]);
  });
  it('wait for a file that a process has open for writing', () => {
    expect(seen.open).toEqual([[], [], A]);
  });
  it('wait for temporary names to go', () => {
    expect(seen.names).toEqual([[], [], [], A]);
  });
  it('wait 30 s when the format is not known, and mark it', () => {
    const both = ['checkpoints/folder', 'checkpoints/model.bin'];
    const marked = [
      ['unknown', true],
      ['unknown', true],
    ];
    expect(seen.unknown).toEqual([[], [], [], both, marked]);
  });
  it('search the usual places, or the one of the spec', () => {
    const usual = [
      ...A,
      'deep/down/b.ckpt',
      'lightning_logs/version_0/checkpoints/epoch=0-step=2.ckpt',
      'outputs/x/checkpoint-500',
    ];
    expect(seen.places).toEqual([usual, ['state/a.pt']]);
  });
  it('leave out what has been sent, until it changes', () => {
    expect(seen.done).toEqual([[], [], A]);
  });
  it('tell the checkpoints of a series from those of another', () => {
    expect(seen.series).toEqual([true, false, true]);
  });
});

describe('a pinned checkpoint', () => {
  let seen: Record<string, unknown>;
  beforeAll(() => {
    seen = run('checkpoint-judge.py');
  }, 60_000);

  it('is whole after the training has removed it', () => {
    expect(seen.rotation).toEqual([true, true, true]);
  });
  it('is void once the training has written into it, and cannot be pinned as it was', () => {
    expect(seen.overwriting).toEqual([true, true]);
  });
  it('may have many files', () => {
    expect(seen.many).toEqual([700, true]);
  });
});
