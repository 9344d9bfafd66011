import { lstatSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { startRequest, useInstances } from '../support/instance/test-instance.ts';

const instance = useInstances();

interface Refused {
  readonly protocol: number;
}

describe('a request that is not understood', () => {
  const box = () => {
    const here = instance();
    const run = here.giveLease(here.run());
    return { here, run, good: startRequest(here, run, { train: { env: { SECRET: 'hunter2' } } }) };
  };

  it.each<[string, (good: Readonly<Record<string, unknown>>) => string | Readonly<Record<string, unknown>>]>([
    ['nothing at all', () => ''],
    ['no JSON', () => '{"secret": "hunter2"'],
    ['no object', () => '[1, 2]'],
    ['another protocol', (good) => ({ ...good, protocol: 2 })],
    ['an unknown verb', (good) => ({ ...good, verb: 'format' })],
    ['an unknown job', (good) => ({ ...good, job: 'format' })],
    ['no run', (good) => ({ ...good, run: undefined })],
    ['a run key that leads elsewhere', (good) => ({ ...good, run: { id: 'x', key: '../../etc', arn: 'x' } })],
    ['a project that leads elsewhere', (good) => ({ ...good, project: '../etc' })],
    ['a relative root', (good) => ({ ...good, root: 'var/lib/runctl' })],
    ['a root with ..', (good) => ({ ...good, root: '/var/../etc' })],
    ['no notAfter', (good) => ({ ...good, notAfter: undefined })],
    ['a notAfter that is no number', (good) => ({ ...good, notAfter: true })],
    ['no work', (good) => ({ ...good, train: undefined })],
    ['work without args', (good) => ({ ...good, train: { ...(good.train as object), args: undefined } })],
    ['args that are no text', (good) => ({ ...good, train: { ...(good.train as object), args: ['a', 1] } })],
    ['args with NUL', (good) => ({ ...good, train: { ...(good.train as object), args: ['a\0b'] } })],
    [
      'a variable that cannot be',
      (good) => ({ ...good, train: { ...(good.train as object), env: { 'a=b': 'hunter2' } } }),
    ],
    ['a negative offset', (good) => ({ ...good, offset: -1 })],
    ['maxBytes that is no whole number', (good) => ({ ...good, maxBytes: 1.5 })],
  ])('(%s) is answered with BadRequest and exit code 1, and nothing is changed', async (_, change) => {
    const { here, good } = box();
    const reply = await here.send<Refused>(change(good));
    expect(reply.code).toBe(1);
    expect(reply.answer).toMatchObject({ protocol: 1, ok: false, error: { name: 'BadRequest' } });
    expect(reply.stdout).not.toContain('hunter2');
    expect(reply.stdout.trim().split('\n')).toHaveLength(1);
    expect(here.processes()).toEqual([]);
  });
});

describe('an answer', () => {
  it('to a request that met something unexpected is RunnerBroken with exit code 0, and never the request’s text', async () => {
    const here = instance();
    const run = here.run();
    mkdirSync(join(here.root, 'lease'), { recursive: true });
    writeFileSync(join(here.root, 'lease', 'holder.json'), 'not JSON');
    const reply = await here.send<Refused>(startRequest(here, run, { train: { env: { SECRET: 'hunter2' } } }));
    expect(reply.code).toBe(0);
    expect(reply.answer).toMatchObject({ protocol: 1, ok: false, error: { name: 'RunnerBroken' } });
    expect(reply.answer.error?.message).toContain('holder.json');
    expect(reply.stdout).not.toContain('hunter2');
  });

  it('has every key of the contract, whatever the state', async () => {
    const here = instance();
    here.write('train.py', 'print(1)\n');
    const run = here.giveLease(here.run());
    const keys = [
      ...['protocol', 'ok', 'job', 'state', 'reason', 'holder', 'pid', 'startedAt', 'now', 'exit', 'progress'],
      ...['result', 'log', 'tail', 'bootId', 'queue', 'usage', 'checkpoints', 'environment'],
    ].sort();
    const absent = await here.poll(run, 'install');
    const started = await here.start(run, { train: {} });
    const ended = await here.ended(run, 'train');
    const refused = await here.start(here.run(), { train: {} });
    expect([absent, started, ended, refused].map((status) => status.state)).toEqual([
      'absent',
      expect.stringMatching(/running|exited/),
      'exited',
      'refused',
    ]);
    for (const status of [absent, started, ended, refused]) expect(Object.keys(status).sort()).toEqual(keys);
    for (const status of [absent, started, ended, refused]) {
      expect(Object.keys(status.log).sort()).toEqual(['bytes', 'data', 'offset', 'put', 'size']);
    }
  });

  it('comes from any folder and any umask, and keys that a later protocol adds are no trouble', async () => {
    const here = instance({ before: ['sh', '-c', 'umask 077; cd /; exec "$@"', 'sh'] });
    here.write('train.py', 'import os\nprint(oct(os.umask(0)))\n');
    const run = here.giveLease(here.run());
    await here.start(run, { train: {} }, { later: { key: 1 } });
    expect((await here.ended(run, 'train')).tail).toEqual(['0o22']);
    expect(lstatSync(here.jobFolder(run, 'train')).mode & 0o777).toBe(0o755);
  });
});
