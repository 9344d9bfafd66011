import { type InstanceCommands, throwRefusal } from '../job/instance-commands.ts';
import { PROTOCOL } from '../protocol/messages.ts';
import { probeAnswer } from '../protocol/probe.ts';
import { chooseInstance, type FoundInstance, type InstanceSelector } from '../workflow/choose-instance.ts';
import type { Bake } from './data.ts';

/** Asks an instance about the image that it was started from; null: it was started from none of ours. */
export async function describeImage(
  ports: {
    readonly instances: { find(selector: InstanceSelector): Promise<FoundInstance[]> };
    readonly commands: InstanceCommands;
  },
  { project, user, program }: Bake,
  id: string,
): Promise<{ readonly key: string; readonly state: string } | null> {
  const instance = chooseInstance(await ports.instances.find({ id }), id, { project, user });
  const request = {
    protocol: PROTOCOL,
    verb: 'probe',
    root: instance.root,
    home: instance.home,
    user: user ?? instance.user,
    python: null,
    secrets: {},
  } as const;
  const answer = throwRefusal(await ports.commands.ask(id, program, request));
  return probeAnswer.parse(answer).image ?? null;
}
