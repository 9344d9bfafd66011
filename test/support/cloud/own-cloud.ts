import { rmSync } from 'node:fs';
import { inject } from 'vitest';
import { statePaths } from '../../../local/cloud/paths.ts';
import { endGroup } from '../../../local/cloud/processes.ts';
import { signedFetch } from '../../../local/cloud/signed-fetch.ts';
import type { LocalState } from '../../../local/cloud/state.ts';
import { down } from '../../../local/commands/down.ts';
import { up } from '../../../local/commands/up.ts';
import { forgetInstance } from './own-instance.ts';

/** A separate local cloud for a test file that would disturb others in the shared one (deployments, scaled waits). */
export interface OwnCloud {
  readonly folder: string;
  readonly state: LocalState;
  /** Multiplies every Wait and every pause before a retry. */
  scaleWaits(scale: number): Promise<void>;
  /** Kills the SSM agent and starts a new one. */
  restartAgent(): Promise<void>;
  remove(): Promise<void>;
}

/** Starts a separate cloud. `deploy: 'never'` starts only the services, in a few seconds. */
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
