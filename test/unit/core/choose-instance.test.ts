import { describe, expect, it } from 'vitest';
import { chooseInstance, parseSelector } from '../../../core/workflow/choose-instance.ts';
import { foundInstance as fit, instance } from '../../support/fakes/samples.ts';

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
    expect(chooseInstance(found, 'tag:Project=demo')).toEqual(instance);
  });

  it('takes root, home and user from its tags', () => {
    const tags = { ...fit.tags, 'runctl:root': '/data/runctl', 'runctl:home': '/data/home', 'runctl:user': 'me' };
    expect(chooseInstance([{ ...fit, tags }], 'x')).toMatchObject({
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
    expect(() => chooseInstance(found, 'tag:Project=demo')).toThrow(expect.objectContaining({ name }));
  });

  it('names what it found', () => {
    const message = (found: (typeof fit)[]) => {
      try {
        chooseInstance(found, 'tag:Project=demo');
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
