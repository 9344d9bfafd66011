import { rmSync } from 'node:fs';
import { inject } from 'vitest';
import { statePaths } from '../../../local/cloud/paths.ts';
import { endGroup } from '../../../local/cloud/processes.ts';
import { signedFetch } from '../../../local/cloud/signed-fetch.ts';
import type { LocalState } from '../../../local/cloud/state.ts';
import { down } from '../../../local/commands/down.ts';
import { up } from '../../../local/commands/up.ts';
import { forgetInstance } from './own-instance.ts';

/** A local cloud of one test file, for what would disturb the others in the shared one: a deployment, scaled waits, a death. */
export interface OwnCloud {
  readonly folder: string;
  readonly state: LocalState;
  /** Multiplies every Wait and every pause before a retry. */
  scaleWaits(scale: number): Promise<void>;
  /** Kills the SSM agent, and starts another in its place. */
  restartAgent(): Promise<void>;
  remove(): Promise<void>;
}

/** Brings one up, beside the shared one; `deploy: 'never'`: the services alone, in a few seconds. */
export async function bringUpOwnCloud(name: string, deploy: 'always' | 'never'): Promise<OwnCloud> {
  const folder = `${inject('cloudFolder')}-${name}`;
  const bringUp = async (how: 'always' | 'never') => {
    const signal = new AbortController().signal;
    return (await up(statePaths(folder), { agentCommand: null, deploy: how, signal, output: 'silent' })).state;
  };
  let state = await bringUp(deploy);
  return {
    folder,
    state,
    async scaleWaits(scale) {
      const body = JSON.stringify({ 'stepfunctions._SFN_WAIT_SCALE': String(scale) });
      await signedFetch(`${state.endpoint}/_ministack/config`, state.credentials, { method: 'POST', body });
    },
    async restartAgent() {
      if (state.agent) await endGroup(state.agent, 0);
      state = await bringUp('never');
    },
    async remove() {
      forgetInstance(state.endpoint);
      await removeCloud(folder);
    },
  };
}

export async function removeCloud(folder: string): Promise<void> {
  await down(statePaths(folder), { purge: false });
  rmSync(folder, { recursive: true, force: true });
}
