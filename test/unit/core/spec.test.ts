import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as z from 'zod/mini';
import { InvalidSpec, parseSpec, resolveSpec, type SpecInput, specSchema } from '../../../core/spec/spec.ts';

function refusal(value: unknown): string {
  try {
    parseSpec(value, 'runctl.yaml');
  } catch (error) {
    if (error instanceof InvalidSpec) return error.message;
    throw error;
  }
  return 'accepted';
}

const good: { [Key in keyof Required<SpecInput>]: NonNullable<SpecInput[Key]>[] } = {
  archive: ['s3://bucket/key.tar.gz', 's3://b/a b/ü+".tar.gz?versionId=abc'],
  sha256: ['0123456789abcdef'.repeat(4)],
  patch: ['s3://bucket/patches/demo/0123', 's3://bucket/patches/demo/0123?versionId=abc'],
  sent: [{ bytes: 0 }, { bytes: 4_100, changedFiles: null }, { bytes: 4_100, changedFiles: 3 }],
  resume: ['auto', 'never', 'latest', 'digits-20261124-171530-3f9a'],
  resumeArgs: [['--resume_from_checkpoint', '{checkpoint}']],
  retries: [0, 20, '3', {}, { times: 5 }, { on: ['failed', 'vanished'], times: 1 }],
  project: ['a', 'my-project_1.0', 'x'.repeat(63)],
  instance: ['i-01234567', 'i-0123456789abcdef0', 'tag:Project=demo', 'tag:a b=c=d'],
  script: [
    'train.py',
    'src/train.py',
    './train.py',
    'run.sh',
    'app.pyz',
    'v1.2/train',
    'TRAIN.PY',
    '.hidden',
    'a..b.py',
    '-x.py',
    'tr ain.py',
  ],
  module: ['train', 'pkg.train', 'a._b.c9'],
  command: ['torchrun --nproc-per-node=gpu train.py', ['torchrun', 'train.py', '$HOME', '; rm'], './run.sh'],
  args: [[], Array.from({ length: 300 }, () => 'x'), ['--lr', '0.1', '$(id)', '; rm', '`x`', '\n', '{{commands}}']],
  env: [{}, { EPOCHS: '3', _x: '' }],
  secrets: [
    {},
    { WANDB_API_KEY: 'ssm:/team/wandb', HF_TOKEN: 'secretsmanager:hf#token' },
    { A: 'ssm:name:3', B: 'secretsmanager:arn:aws:secretsmanager:eu-central-1:111122223333:secret:a/b-AbCdEf#a key' },
  ],
  requirements: ['requirements.txt', 'deps/gpu.txt', 'pyproject.toml[train]', 'uv.lock', 'pylock.toml'],
  install: ['best-effort', 'required', 'skip'],
  installer: ['auto', 'uv', 'pip'],
  environment: ['shared', 'project'],
  storeEnvironment: [true, false],
  python: ['/usr/bin/python3', '/opt/my env/bin/python'],
  maxDuration: ['90s', '30m', '1.5h', '30d'],
  maxCost: [0.01, 5, 1_000_000],
  stopGrace: ['0s', '10m', '600s'],
  lingerGrace: ['0s', '24h'],
  ifBusy: ['queue', 'skip', 'refuse'],
  maxWait: ['24h'],
  stopAfter: ['never', '0s', '10m', '24h'],
  maxLogBytes: ['1GiB', '500MiB', '0.5KiB', '10B'],
  outputs: [
    [],
    ['outputs/**', '*.pt', 'a.{pt,on{nx,x}}', 'cost$', 'a~'],
    {},
    { from: 'all' },
    { from: 'run', patterns: ['x'] },
  ],
  include: [[], ['../common', 'a/b.py']],
  metrics: [
    [],
    [{ name: 'val_loss', regex: 'Validation: (\\d+\\.\\d+)' }],
    [
      { name: 'a', regex: '(.)' },
      { name: 'a', regex: `(${'x'.repeat(498)})` },
    ],
    Array.from({ length: 40 }, (_, index) => ({ name: `m${index}`, regex: '(?i)m is ([0-9.eE+-]+)' })),
  ],
  headline: [[], ['val_loss'], ['val loss', 'eval/acc@1', 'x'.repeat(64)]],
  checkpoints: [false, 'state', {}, { path: 'runs/a/', keep: 1, every: '10m' }],
  allowRemovals: [true, false],
  takeOver: [true, false],
  user: ['ubuntu', 'ec2-user', '_x'],
  startedBy: ['anna', 'ci 4711', 'schedule nightly'],
  name: ['lr 0.1', 'x'.repeat(64)],
  note: ['Does warm-up help? Läuft.', 'x'.repeat(500)],
};

const bad: [key: keyof SpecInput, value: unknown, says: RegExp][] = [
  ['resume', 'run 1', /resume is auto, never, latest, or the id of a run/],
  ['resumeArgs', '--resume', /resumeArgs must be a list/],
  ['retries', 21, /retries is 20 at most/],
  ['retries', -1, /retries is not negative/],
  ['retries', 'often', /retries is a number from 0 to 20/],
  ['retries', { on: ['boredom'] }, /retries\.on\.0 must be one of instance-lost, vanished/],
  ['retries', { on: [] }, /retries\.on is empty/],
  ['metrics', { loss: '(.)' }, /metrics must be a list/],
  ['metrics', [{ name: 'a' }], /metrics\.0\.regex must be a string/],
  ['metrics', [{ name: 'a', regex: '(.)', unit: 's' }], /metrics\.0 has the unknown key "unit"/],
  ['metrics', [{ name: '<b>', regex: '(.)' }], /metrics\.0\.name is "<b>"; a metric has 1 to 64 of the characters/],
  ['metrics', [{ name: ' a', regex: '(.)' }], /metrics\.0\.name is " a"/],
  ['metrics', [{ name: 'a', regex: '' }], /metrics\.0\.regex is empty/],
  ['metrics', [{ name: 'a', regex: 'loss' }], /metrics\.0\.regex has no group for the value; put it in parentheses/],
  [
    'metrics',
    [
      { name: 'a', regex: '(.)' },
      { name: 'b', regex: '(' },
    ],
    /metrics\.1\.regex is not one that RE2 accepts: .*missing closing \)/,
  ],
  ['metrics', [{ name: 'a', regex: '(?<!x)(.)' }], /metrics\.0\.regex is not one that RE2 accepts/],
  ['metrics', [{ name: 'a', regex: `(${'x'.repeat(499)})` }], /metrics\.0\.regex has more than 500 characters/],
  ['metrics', [{ name: 'a', regex: `(${'a{1000}'.repeat(3)})` }], /metrics\.0\.regex makes the expressions too large/],
  ['metrics', [{ name: 'a', regex: '('.repeat(501) }], /metrics\.0\.regex has more than 500 characters$/],
  ['metrics', Array.from({ length: 41 }, () => ({ name: 'a', regex: '(' })), /metrics has more than 40 items$/],
  ['headline', 'loss', /headline must be a list/],
  ['headline', ['a', 'b', 'c', 'd'], /headline has more than 3 items/],
  ['headline', ['a', 'a'], /headline has a name twice/],
  ['headline', ['loss$'], /headline\.0 is "loss\$"; a metric has/],
  ['checkpoints', true, /checkpoints must be a folder, a map, or false/],
  ['checkpoints', '/mnt', /checkpoints is a path inside the project/],
  ['checkpoints', { keep: 0 }, /checkpoints.keep is 1 at least/],
  ['checkpoints', { every: '10' }, /checkpoints.every is a number with s, m, h or d/],
  ['name', 'x'.repeat(65), /name has more than 64 characters/],
  ['note', 'a\nb', /note has a control character/],
  ['sent', { bytes: -1 }, /sent\.bytes is not negative/],
  ['sent', { bytes: 1, changedFiles: 0.5 }, /sent\.changedFiles/],
  ['sent', { bytes: 1, files: 2 }, /sent has the unknown key/],
  ['startedBy', 'a\x1b[2J', /startedBy has a control character/],
  ['patch', 's3://bucket/archives/demo/0123', /patch looks like s3:\/\/bucket\/patches/],
  ['archive', 'bucket/key', /archive looks like s3:/],
  ['archive', 's3://bucket/', /archive looks like s3:/],
  ['archive', 3, /archive must be a string/],
  ['sha256', 'ABCDEF'.repeat(11), /sha256 is the hex SHA-256/],
  ['sha256', 'ab', /sha256 is the hex SHA-256/],
  ['takeOver', 1, /takeOver must be a boolean/],
  ['allowRemovals', 'yes', /allowRemovals must be a boolean/],
  ['user', 'root', /user must not be root/],
  ['instance', 'tag:Project=*', /must not have the wildcards/],
  ['instance', 'tag:Pro?ject=x', /must not have the wildcards/],
  ['env', JSON.parse('{"__proto__": "x"}'), /env.__proto__ is not a key/],
  ['project', 'Demo', /project is 1 to 63/],
  ['project', '../x', /project is 1 to 63/],
  ['project', '.runctl', /project is 1 to 63/],
  ['project', 'x'.repeat(64), /project is 1 to 63/],
  ['project', 'x\n', /project is 1 to 63/],
  ['project', null, /project must be a string/],
  ['instance', 'i-xyz', /instance is an id/],
  ['instance', 'tag:Project', /instance is an id/],
  ['instance', 'demo', /instance is an id/],
  ['module', 'pkg/train.py', /module is the name of a Python module/],
  ['module', 'pkg.', /module is the name of/],
  ['module', '', /module is the name of/],
  ['command', '', /command names no program/],
  ['command', [], /command names no program/],
  ['command', 'a && b', /command has an unquoted &; no shell reads it/],
  ['command', 'SEED=1 torchrun x.py', /command begins with SEED=; set variables with the key env/],
  ['command', '-m pkg', /command begins with an option/],
  ['command', 3, /command must be a text or a list of texts/],
  ['command', [3], /command\.0 must be a string/],
  ['command', ['a\0'], /command\.0 has a NUL character/],
  ['script', '/train.py', /script is a path inside the project/],
  ['script', 'a/../../train.py', /script is a path inside/],
  ['script', '', /script is empty/],
  ['script', 'a\nb', /script has a control character/],
  ['script', 'nb/a b.ipynb', /script is a notebook: convert it with `jupyter nbconvert --to script 'nb\/a b\.ipynb'`/],
  ['script', 'train.R', /script has the suffix \.r; \.py and \.pyz run with Python, \.sh with sh/],
  ['script', 'run.bash', /script has the suffix \.bash/],
  ['include', '../common', /include must be a list/],
  ['include', ['/data'], /include\.0 is relative to the project/],
  ['include', ['~/data'], /include\.0 is relative to the project/],
  ['include', Array.from({ length: 65 }, () => '../x'), /include has more than 64/],
  ['script', 'é'.repeat(600), /script has more than 1024 bytes/],
  ['args', '--lr 0.1', /args must be a list/],
  ['args', ['--epochs', 3], /args\.1 must be a string/],
  ['args', ['a\0'], /args\.0 has a NUL/],
  ['args', ['a\ud800'], /args\.0 has half a character/],
  ['env', ['A=1'], /env must be a map/],
  ['env', { EPOCHS: 3 }, /env\.EPOCHS must be a string/],
  ['env', { 'MY VAR': '1' }, /env\.MY VAR is not a name of an environment variable/],
  ['env', { '': '1' }, /is not a name of an environment variable/],
  ['secrets', ['A=ssm:/a'], /secrets must be a map/],
  ['secrets', { A: 'hf_the_value' }, /^runctl\.yaml: secrets\.A is not a reference such as ssm:\/path\/name[^_]*$/],
  ['secrets', { A: 'ssm:/a b' }, /secrets\.A is not a reference/],
  ['secrets', { A: 'ssm:/a\n' }, /secrets\.A is not a reference/],
  ['secrets', { 'MY VAR': 'ssm:/a' }, /secrets\.MY VAR is not a name of an environment variable/],
  ['secrets', { RUNCTL_RUN_ID: 'ssm:/a' }, /secrets\.RUNCTL_RUN_ID is a name that secrets may not set/],
  ['secrets', { LD_PRELOAD: 'ssm:/a', PATH: 'ssm:/a' }, /secrets\.LD_PRELOAD is .*; secrets\.PATH is/],
  [
    'secrets',
    Object.fromEntries(Array.from({ length: 21 }, (_, index) => [`S${index}`, 'ssm:/a'])),
    /secrets has more than 20 names/,
  ],
  ['requirements', '../requirements.txt', /requirements is a path inside/],
  ['requirements', 'poetry.lock', /requirements names poetry.lock, which is not read/],
  ['install', 'yes', /install must be one of best-effort, required, skip/],
  ['storeEnvironment', 'yes', /storeEnvironment/],
  ['environment', 'mine', /environment must be one of shared, project/],
  ['installer', 'conda', /installer must be one of auto, uv, pip/],
  ['python', 'python3', /python is an absolute path/],
  ['python', '/a\nb', /python has a control character/],
  ['maxDuration', '6', /maxDuration is a number with s, m, h or d, such as 90s, 30m, 6h or 2d$/],
  ['maxDuration', 6, /maxDuration must be a string/],
  ['maxDuration', '0s', /maxDuration is 1s at least/],
  ['maxCost', 0, /maxCost is more than 0$/],
  ['maxCost', -1, /maxCost is more than 0$/],
  ['maxCost', '5', /maxCost must be a number$/],
  ['maxCost', '$5', /maxCost must be a number$/],
  ['maxCost', Number.POSITIVE_INFINITY, /maxCost must be a number$/],
  ['maxCost', 2_000_000, /maxCost is 1000000 at most$/],
  ['maxDuration', '31d', /maxDuration may be 30d at most/],
  ['maxDuration', `${'9'.repeat(400)}s`, /maxDuration may be 30d at most/],
  ['stopGrace', '11m', /stopGrace may be 10m at most/],
  ['lingerGrace', '25h', /lingerGrace may be 24h at most/],
  ['stopGrace', '-1s', /stopGrace is a number/],
  ['ifBusy', 'wait', /ifBusy must be one of queue, skip, refuse/],
  ['maxWait', '1w', /maxWait is a number/],
  ['stopAfter', '2d', /stopAfter is never, or a number/],
  ['stopAfter', '25h', /stopAfter may be 24h at most/],
  ['stopAfter', 'Never', /stopAfter is never, or a number/],
  ['maxLogBytes', '1GB', /maxLogBytes is a size/],
  ['maxLogBytes', `${'9'.repeat(400)}GiB`, /maxLogBytes is a size/],
  ['outputs', 'outputs/**', /outputs must be a list, or a map with from and patterns/],
  ['outputs', ['~/x/**'], /outputs\.0 is ~\/x\/\*\*, and ~ is not expanded: globs begin in the project folder/],
  ['outputs', ['a', '$HOME/x/**'], /outputs\.1 is \$HOME\/x\/\*\*, and \$HOME is not expanded/],
  ['outputs', ['x/$RUN'], /outputs\.0 is x\/\$RUN, and \$RUN is not expanded/],
  ['outputs', ['{a,b}'.repeat(9)], /outputs\.0 has braces with more than 256 alternatives/],
  ['outputs', { from: 'both' }, /outputs\.from must be one of run, all/],
  ['outputs', { patterns: ['~/x'] }, /outputs\.patterns\.0 is ~\/x, and ~/],
  ['outputs', { pattern: [] }, /outputs has the unknown key "pattern"/],
  ['outputs', ['/etc/*'], /outputs\.0 is a path inside/],
  ['outputs', Array.from({ length: 65 }, () => 'x'), /outputs has more than 64/],
  ['user', 'Ubuntu', /user is a user name/],
  ['user', 'a b', /user is a user name/],
];

describe('parseSpec', () => {
  for (const [key, values] of Object.entries(good)) {
    it.each(values.map((value) => [value]))(`takes ${key}: %j`, (value) => {
      expect(parseSpec({ [key]: value }, 'x')).toEqual({ [key]: value });
    });
  }

  it.each(bad)('refuses %s: %j', (key, value, says) => {
    const message = refusal({ [key]: value });
    expect(message).toMatch(says);
    expect(message).toMatch(/^runctl\.yaml: /);
  });

  it('has a good and a bad example of every key', () => {
    const keys = Object.keys(specSchema.shape).sort();
    expect(Object.keys(good).sort()).toEqual(keys);
    expect([...new Set(bad.map(([key]) => key))].sort()).toEqual(keys);
  });

  it.each([
    ['scrpit', /unknown key "scrpit"; did you mean script\?/],
    ['max_duration', /did you mean maxDuration\?/],
    ['Instance', /did you mean instance\?/],
    ['requirement', /did you mean requirements\?/],
    ['batchSize', /unknown key "batchSize"$/],
    ['__proto__x', /unknown key "__proto__x"/],
  ])('refuses the unknown key %s', (key, says) => expect(refusal({ [key]: 1 })).toMatch(says));

  it.each(['onFinish'])('refuses %s, which is reserved', (key) => {
    expect(refusal({ [key]: {} })).toMatch(new RegExp(`${key} is reserved`));
  });

  it('names everything that is wrong at once, and no more than can be read', () => {
    for (const key of ['scrpit', 'install', 'args']) expect(refusal({ scrpit: 1, install: 1, args: 3 })).toContain(key);
    const many = Object.fromEntries(
      Array.from({ length: 5000 }, (_, index) => [`unknown${'x'.repeat(index % 300)}${index}`, 1]),
    );
    const message = refusal(many);
    expect(message).toMatch(/; and 4990 more$/);
    expect(message.length).toBeLessThan(2_000);
  });

  it('takes nothing as nothing', () => {
    expect([parseSpec(null, 'x'), parseSpec(undefined, 'x'), parseSpec({}, 'x')]).toEqual([{}, {}, {}]);
  });

  it.each([['a string'], [3], [[]], [true]])('refuses %j: the spec is a map', (value) => {
    expect(refusal(value)).toBe('runctl.yaml: the spec must be a map');
  });

  it('refuses args and env that do not fit into a command', () => {
    expect(refusal({ args: ['x'.repeat(11_900)] })).toBe('accepted');
    expect(refusal({ args: ['x'.repeat(12_000)] })).toMatch(
      /args \(1 items\), env \(0 names\) and secrets \(0 names\) take 120\d\d bytes as JSON; 12000 fit/,
    );
    expect(refusal({ env: { A: '€'.repeat(4_100) } })).toMatch(/env \(1 names\).* take 123\d\d bytes/);
    const long = Object.fromEntries(
      ['A', 'B', 'C', 'D'].map((name) => [name, `secretsmanager:${name.repeat(512)}#${'k'.repeat(100)}`]),
    );
    expect(refusal({ args: ['x'.repeat(10_000)], secrets: long })).toMatch(/secrets \(4 names\) take/);
  });

  it('refuses a name that is in env and in secrets, of one source or of two', () => {
    const secrets = { HF_TOKEN: 'ssm:/hf' };
    expect(refusal({ env: { HF_TOKEN: 'x' }, secrets })).toBe(
      'runctl.yaml: HF_TOKEN is in both env and secrets; leave it out of one',
    );
    expect(() => resolveSpec({ env: { HF_TOKEN: 'x' } }, { secrets })).toThrow(/HF_TOKEN is in both/);
    expect(resolveSpec({ env: { toString: 'x' } }, { secrets }).secrets).toEqual(secrets);
  });

  it('accepts or refuses by name, whatever it is given', () => {
    fc.assert(
      fc.property(fc.anything({ withNullPrototype: true, maxDepth: 3 }), (value) => {
        expect(refusal(value)).toMatch(/^accepted$|^runctl\.yaml: ./s);
      }),
    );
    const entries = fc.dictionary(fc.constantFrom(...Object.keys(specSchema.shape)), fc.jsonValue({ maxDepth: 2 }));
    fc.assert(
      fc.property(entries, (value) => {
        const message = refusal(value);
        if (message !== 'accepted') expect(Object.keys(value).some((key) => message.includes(key))).toBe(true);
      }),
    );
  });

  it('has a description for editors on every key', () => {
    const { properties } = z.toJSONSchema(specSchema) as { properties: Record<string, { description?: string }> };
    for (const key of Object.keys(specSchema.shape)) expect(properties[key]?.description, key).toBeTruthy();
    expect(properties.script?.description).toMatch(/^Entry script/);
  });
});

describe('resolveSpec', () => {
  it('has the defaults of the table', () => {
    expect(resolveSpec({})).toEqual({
      project: null,
      instance: null,
      script: null,
      module: null,
      command: null,
      args: [],
      env: {},
      secrets: {},
      requirements: null,
      install: 'best-effort',
      installer: 'auto',
      environment: 'shared',
      storeEnvironment: true,
      python: null,
      maxDuration: 86_400,
      maxCost: null,
      stopGrace: 30,
      lingerGrace: 60,
      ifBusy: 'queue',
      maxWait: 86_400,
      maxLogBytes: 1024 ** 3,
      outputs: ['outputs/**'],
      outputsFrom: 'run',
      metrics: [],
      headline: [],
      resume: 'auto',
      resumeArgs: [],
      retries: { on: ['instance-lost', 'interrupted'], times: 3, needsCheckpoint: true },
      checkpoints: { path: null, keep: 3, every: 0 },
      allowRemovals: false,
      takeOver: false,
      user: null,
      name: null,
      note: null,
    });
  });

  it('lets later sources win, key by key; env and secrets as a whole', () => {
    const merged = resolveSpec(
      { project: 'a', script: 'a.py', env: { A: '1', B: '1' }, secrets: { S: 'ssm:/s' } },
      { script: 'b.py', env: { B: '2' }, secrets: { T: 'ssm:/t' } },
      { project: 'c' },
    );
    expect(merged).toMatchObject({ project: 'c', script: 'b.py', env: { B: '2' }, secrets: { T: 'ssm:/t' } });
  });

  it('knows both forms of outputs', () => {
    const of = (outputs: SpecInput['outputs']) => {
      const spec = resolveSpec({ outputs });
      return [spec.outputs, spec.outputsFrom];
    };
    expect(of(['a'])).toEqual([['a'], 'run']);
    expect(of({ patterns: ['a'] })).toEqual([['a'], 'run']);
    expect(of({ from: 'all' })).toEqual([['outputs/**'], 'all']);
  });

  it('takes ./ off paths', () => {
    expect(resolveSpec({ script: './././train.py', requirements: './r.txt' })).toMatchObject({
      script: 'train.py',
      requirements: 'r.txt',
    });
  });

  it('refuses what fits source by source, and together does not', () => {
    const args = { args: ['x'.repeat(7_000)] };
    const env = { env: { A: 'x'.repeat(7_000) } };
    expect(() => resolveSpec(args, {})).not.toThrow();
    expect(() => resolveSpec(args, env)).toThrow(InvalidSpec);
  });
});
