import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GetParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { killInstanceProcesses } from '../cloud/instance-processes.ts';
import { Commands } from './commands.ts';
import { Documents } from './documents.ts';
import { BOOTS, noteStop, serviceAddresses } from './environment.ts';
import type { Executor } from './executor.ts';
import { Faults } from './faults.ts';
import { imitation } from './imitation.ts';
import { watchInstances } from './instance-watch.ts';
import { instancesOf } from './instances.ts';
import { machineVariables } from './machine.ts';
import { agentOptions, credentialsFrom } from './options.ts';
import { powerOffOf } from './power-off.ts';
import { programExecutor } from './program-executor.ts';
import { agentServer } from './server.ts';
import { operations } from './service.ts';

const host = '127.0.0.1';
const onError = (error: unknown) => console.error(new Date().toISOString(), error);

const options = agentOptions.parse(JSON.parse(process.argv[2] ?? '{}'));
const credentials = credentialsFrom(process.env);
mkdirSync(options.folder, { recursive: true });
const faults = new Faults();
const documents = new Documents(join(options.folder, 'documents.json'));
const instances = instancesOf(options.upstream, options.region, credentials);
const commands = new Commands({
  region: options.region,
  documents,
  faults,
  instances,
  variablesOf: (instance) => machineVariables(instance, options.folder),
  execute: executor(),
  onError,
});
const powerOff = powerOffOf(options.upstream, options.region, credentials);
const stopped = async (instanceId: string) => {
  noteStop(options.folder, instanceId);
  await killInstanceProcesses(instanceId);
};
watchInstances({ commands, instances, folder: options.folder, kill: stopped, powerOff, onError });
const server = agentServer({
  upstream: options.upstream,
  operations: operations({ commands, documents, faults, instances }),
  faults,
  onError,
});

server.listen(options.port, host, () =>
  console.log(
    `SSM agent listening on http://${host}:${options.port}; other requests are forwarded to ${options.upstream}`,
  ),
);
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => {
    commands.abandonAll();
    server.close();
    server.closeAllConnections();
    // All scripts have been killed. Timers that are still pending have no caller left.
    setImmediate(() => process.exit(0));
  });
}

function executor(): Executor {
  // The people and the load of this machine are not those of its instances.
  const facts = join(options.folder, 'idle-facts.json');
  writeFileSync(facts, JSON.stringify({ people: [], load: 0 }));
  const services = { ...serviceAddresses(process.env), RUNCTL_IDLE_FACTS: facts, [BOOTS]: options.folder };
  if (options.agentCommand !== undefined)
    return programExecutor(options.agentCommand, join(options.folder, 'commands'), services);
  const parameterStore = new SSMClient({
    endpoint: options.upstream,
    region: options.region,
    credentials,
  });
  return imitation({
    folder: options.folder,
    services,
    resolveSsmParameter: async (name) => {
      const { Parameter } = await parameterStore.send(new GetParameterCommand({ Name: name, WithDecryption: false }));
      return Parameter?.Value ?? '';
    },
    reboot: async (instanceId) => {
      await killInstanceProcesses(instanceId);
    },
  });
}
