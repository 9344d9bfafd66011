import { rmSync } from 'node:fs';
import { inject } from 'vitest';
import { down } from '../../local/down.ts';
import { statePaths } from '../../local/paths.ts';
import type { LocalState } from '../../local/state.ts';
import { up } from '../../local/up.ts';
import { forgetInstance } from './own-instance.ts';

/** A local cloud of one test file, for what would disturb the others in the shared one: a deployment, scaled waits. */
export interface OwnCloud {
  readonly folder: string;
  readonly state: LocalState;
  remove(): Promise<void>;
}

/** Brings one up, beside the shared one; `deploy: 'never'`: the services alone, in a few seconds. */
export async function bringUpOwnCloud(name: string, deploy: 'always' | 'never'): Promise<OwnCloud> {
  const folder = `${inject('cloudFolder')}-${name}`;
  const signal = new AbortController().signal;
  const { state } = await up(statePaths(folder), { agentCommand: null, deploy, signal, output: 'silent' });
  const remove = async () => {
    forgetInstance(state.endpoint);
    await removeCloud(folder);
  };
  return { folder, state, remove };
}

export async function removeCloud(folder: string): Promise<void> {
  await down(statePaths(folder), { purge: false });
  rmSync(folder, { recursive: true, force: true });
}
