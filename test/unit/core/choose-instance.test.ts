import { describe, expect, it } from 'vitest';
import { chooseInstance, parseSelector } from '../../../core/workflow/choose-instance.ts';
import { foundInstance as fit, instance } from '../../support/fakes/samples.ts';

const REQUEST = { project: 'demo', user: null };
const at = (id: string, changes: Partial<typeof fit>) => ({ ...fit, id, ...changes });

describe('parseSelector', () => {
  it.each([
    ['i-0123456789abcdef0', { id: 'i-0123456789abcdef0' }],
    ['tag:Project=demo', { tag: 'Project', value: 'demo' }],
    ['tag:a:b/c d=x=y z', { tag: 'a:b/c d', value: 'x=y z' }],
  ])('%s', (text, selector) => expect(parseSelector(text)).toEqual(selector));
});

describe('chooseInstance', () => {
  it('takes the only running one, whatever else is stopped or terminated', () => {
    const found = [at('i-1', { state: 'stopped' }), at('i-2', { state: 'terminated' }), fit];
    expect(chooseInstance(found, 'tag:Project=demo', REQUEST)).toEqual(instance);
  });

  it('takes one that it may start when none is running, and never without both tags', () => {
    const tags = { ...fit.tags, 'runctl:power': 'managed' };
    const stopped = at('i-1', { state: 'stopped', tags });
    const choose = (found: (typeof fit)[], mayStart = true) =>
      chooseInstance(found, 'tag:Project=demo', REQUEST, { mayStart });
    expect(choose([stopped, at('i-2', { state: 'stopped' })])).toMatchObject({ id: 'i-1', managed: true });
    expect(choose([stopped, fit])).toEqual(instance);
    const refused = (name: string, found: (typeof fit)[], mayStart = true) =>
      expect(() => choose(found, mayStart)).toThrow(expect.objectContaining({ name }));
    refused('InstanceNotRunning', [stopped], false);
    refused('InstanceNotRunning', [at('i-1', { state: 'stopped', tags: { 'runctl:power': 'managed' } })]);
    refused('InstanceNotRunning', [at('i-1', { state: 'stopped', tags: { ...tags, 'runctl:power': 'yes' } })]);
    refused('InstanceNotRunning', [at('i-1', { state: 'stopped' })]);
    refused('InstanceAmbiguous', [stopped, at('i-2', { state: 'stopping', tags })]);
  });

  it('reads how long a managed one runs on; what cannot be read is left to the default', () => {
    const stopAfter = (value?: string, tags: object = { 'runctl:power': 'managed' }) => {
      const own = value === undefined ? {} : { 'runctl:stop-after': value };
      return chooseInstance([{ ...fit, tags: { ...fit.tags, ...tags, ...own } }], 'x', REQUEST).stopAfter;
    };
    expect([stopAfter('10m'), stopAfter('1.5h'), stopAfter('0s'), stopAfter('never')]).toEqual([600, 5400, 0, 'never']);
    for (const odd of [undefined, '', '10', 'soon', '-5m', '1d', '10m ']) expect(stopAfter(odd)).toBeUndefined();
    expect(stopAfter('10m', {})).toBeUndefined();
  });

  it('takes root, home and user from its tags', () => {
    const tags = { ...fit.tags, 'runctl:root': '/data/runctl', 'runctl:home': '/data/home', 'runctl:user': 'me' };
    expect(chooseInstance([{ ...fit, tags }], 'x', REQUEST)).toMatchObject({
      root: '/data/runctl',
      home: '/data/home',
      user: 'me',
    });
  });

  it.each([
    ['InstanceNotFound', []],
    ['InstanceNotFound', [at('i-1', { state: 'terminated' }), at('i-2', { state: 'shutting-down' })]],
    ['InstanceNotRunning', [at('i-1', { state: 'stopped' })]],
    ['InstanceNotRunning', [at('i-1', { state: 'pending' }), at('i-2', { state: 'stopping' })]],
    ['InstanceAmbiguous', [at('i-1', {}), at('i-2', {})]],
    ['InstanceNotLinux', [at('i-1', { platform: 'windows' })]],
    ['InstanceNotEnabled', [at('i-1', { tags: { Project: 'demo' } })]],
    ['InstanceNotEnabled', [at('i-1', { tags: { runctl: 'Enabled' } })]],
  ])('%s', (name, found) => {
    expect(() => chooseInstance(found, 'tag:Project=demo', REQUEST)).toThrow(expect.objectContaining({ name }));
  });

  describe('asks the administrator of the instance', () => {
    const tagged = (tags: Record<string, string>) => [{ ...fit, tags: { ...fit.tags, ...tags } }];
    const choose = (tags: Record<string, string>, request: { project?: string; user?: string }) =>
      chooseInstance(tagged(tags), 'x', { ...REQUEST, ...request });

    it.each([
      ['no list of projects', {}, {}],
      ['the project is listed', { 'runctl:projects': 'other demo' }, {}],
      ['the user is the default', {}, { user: 'runctl' }],
      ['the user is the tag’s', { 'runctl:user': 'ubuntu' }, { user: 'ubuntu' }],
      ['the user is listed', { 'runctl:users': 'alice, bob' }, { user: 'bob' }],
    ])('and goes on: %s', (_, tags, request) => {
      expect(choose(tags as Record<string, string>, request)).toMatchObject({ id: fit.id });
    });

    it.each([
      ['ProjectNotAllowed', 'another project', { 'runctl:projects': 'other' }, {}],
      ['ProjectNotAllowed', 'a part of a name', { 'runctl:projects': 'demo2 de' }, {}],
      ['ProjectNotAllowed', 'an empty list', { 'runctl:projects': '' }, {}],
      ['UserNotAllowed', 'no list of users', {}, { user: 'postgres' }],
      ['UserNotAllowed', 'another user is listed', { 'runctl:users': 'alice' }, { user: 'al' }],
    ])('%s: %s', (name, _, tags, request) => {
      expect(() => choose(tags as Record<string, string>, request)).toThrow(expect.objectContaining({ name }));
    });

    it('whether jobs reach the metadata service: only on the word allow', () => {
      expect(choose({}, {}).imds).toBe(false);
      expect(choose({ 'runctl:imds': 'yes' }, {}).imds).toBe(false);
      expect(choose({ 'runctl:imds': 'allow' }, {}).imds).toBe(true);
    });
  });

  it('names what it found', () => {
    const message = (found: (typeof fit)[]) => {
      try {
        chooseInstance(found, 'tag:Project=demo', REQUEST);
      } catch (error) {
        return error instanceof Error ? error.message : '';
      }
      return '';
    };
    expect(message([])).toContain('tag:Project=demo');
    expect(message([at('i-1', { state: 'stopped' })])).toContain('i-1 (stopped)');
    expect(message([at('i-1', {}), at('i-2', {})])).toMatch(/2 instances.*i-1 \(running\), i-2 \(running\)/);
    expect(message([at('i-1', { tags: {} })])).toContain('runctl=enabled');
  });
});
