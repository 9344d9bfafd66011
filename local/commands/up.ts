import { Listr } from 'listr2';
import { pushDocuments } from '../cloud/documents.ts';
import { LocalError } from '../cloud/errors.ts';
import { defaultInstance, registerInstance } from '../cloud/instance.ts';
import { withLock } from '../cloud/lock.ts';
import { prepareMinistack } from '../cloud/ministack.ts';
import type { StatePaths } from '../cloud/paths.ts';
import { endGroup } from '../cloud/processes.ts';
import { healthOf, startAgentService, startMinistackService } from '../cloud/services.ts';
import { assembly, bootstrap, deploy, sourcesHash, stackOutputs, synthesize } from '../cloud/stack.ts';
import { type LocalState, readState, writeState } from '../cloud/state.ts';
import type { Report } from '../tools/python-tools.ts';
import { endCloud } from './down.ts';

export interface UpOptions {
  /** The program that executes commands; null for the built-in agent. */
  readonly agentCommand: string | null;
  /** `changed`: if the sources differ from those of the last deployment. */
  readonly deploy: 'changed' | 'always' | 'never';
  /** Stops the work and every process that it started. */
  readonly signal: AbortSignal;
  /** `silent` prints nothing; `progress` prints a live list on a terminal, plain lines in a pipe. */
  readonly output: 'progress' | 'silent';
}

interface Context {
  state: LocalState | undefined;
  venv: string;
  /** The cloud was already running and nothing had changed. */
  unchanged: boolean;
}

/**
 * Starts the local cloud, or repairs it: services that answer are not restarted. @returns its state
 * @throws LocalError that names the cause and the next step. After an interruption, no process that
 * this call started is still running; after a failure the services keep running, and the next call
 * continues from there.
 */
export async function up(paths: StatePaths, options: UpOptions): Promise<{ state: LocalState; unchanged: boolean }> {
  const { signal } = options;
  return await withLock(
    paths.lock,
    () => console.error('Another `runctl local` command is running. Waiting for it to end.'),
    async () => {
      const before = await readState(paths);
      const context: Context = { state: before, venv: '', unchanged: true };
      try {
        await steps(paths, options).run(context);
      } catch (error) {
        if (!signal.aborted) throw error; // the services and logs stay: the next `up` continues from there
        await endStarted(paths, before);
        throw new LocalError('Interrupted. Everything that had started was stopped.', 'Run `runctl local up` again.');
      }
      if (context.state === undefined) throw new Error('The steps of up left no state.');
      return { state: context.state, unchanged: context.unchanged };
    },
    signal,
  );
}

/** Stops what this call started: everything, or only the agent if the emulator was already running. */
async function endStarted(paths: StatePaths, before: LocalState | undefined): Promise<void> {
  const now = await readState(paths);
  if (now === undefined) return;
  if (now.ministack.pid !== before?.ministack.pid) await endCloud(paths);
  else if (now.agent !== null && now.agent.pid !== before.agent?.pid) await endGroup(now.agent, 3_000);
}

function steps(paths: StatePaths, options: UpOptions): Listr<Context> {
  const { signal } = options;
  const have = (context: Context): LocalState => {
    if (context.state === undefined) throw new Error('MiniStack must be up first.');
    return context.state;
  };
  return new Listr<Context>(
    [
      {
        title: 'Python environment of the emulator',
        task: async (context, task) => {
          context.venv = await prepareMinistack(paths, reportTo(task), signal);
        },
      },
      {
        title: 'MiniStack',
        task: async (context, task) => {
          if (context.state !== undefined && (await healthOf(context.state)).ministack) {
            task.title = `MiniStack is running at ${context.state.endpoint}`;
            return;
          }
          if (context.state !== undefined) {
            task.output = 'it had stopped, and its data is lost; starting a new one';
            await endCloud(paths);
          }
          context.unchanged = false;
          context.state = await startMinistackService(context.venv, options.agentCommand, paths, signal);
          task.title = `MiniStack at ${context.state.endpoint}`;
        },
      },
      {
        title: 'SSM agent',
        task: async (context, task) => {
          const state = have(context);
          const same = state.agentCommand === options.agentCommand;
          if (same && (await healthOf(state)).agent) {
            task.title = `SSM agent is running at ${state.ssmEndpoint}`;
            return;
          }
          context.unchanged = false;
          context.state = await startAgentService(state, options.agentCommand, paths, signal);
          task.title = `SSM agent at ${state.ssmEndpoint}`;
        },
      },
      {
        title: 'Local instance',
        task: async (context, task) => {
          const state = have(context);
          const instanceId = await registerInstance(state, defaultInstance(paths));
          if (instanceId !== state.instanceId) context.unchanged = false;
          context.state = { ...state, instanceId };
          await writeState(paths, context.state);
          task.title = `Local instance ${instanceId}`;
        },
      },
      {
        title: 'Stack',
        enabled: options.deploy !== 'never',
        task: async (context, task) => {
          const state = have(context);
          const sources = await sourcesHash();
          if (options.deploy === 'changed' && state.deployed?.sources === sources) {
            task.title = `Stack is deployed (${state.deployed.at})`;
            return;
          }
          context.unchanged = false;
          const report = reportTo(task);
          task.title = 'Stack: preparing the templates';
          await synthesize(sources, state, paths, report, signal);
          if (state.deployed === null) {
            task.title = 'Stack: cdk bootstrap';
            await bootstrap(state, paths, report, signal);
          }
          task.title = 'Stack: SSM documents';
          // Documents come before the functions, which refer to document versions.
          await pushDocuments(state, assembly(paths));
          task.title = 'Stack: cdk deploy';
          await deploy(state, paths, report, signal);
          const outputs = await stackOutputs(state);
          context.state = { ...state, deployed: { sources, at: new Date().toISOString(), outputs } };
          await writeState(paths, context.state);
          task.title = 'Stack deployed';
        },
      },
    ],
    {
      renderer: 'default',
      fallbackRenderer: 'simple',
      silentRendererCondition: options.output === 'silent',
      // The caller handles Ctrl-C: it stops what was started before this process ends.
      registerSignalListeners: false,
    },
  );
}

function reportTo(task: { output: string }): Report {
  return (line) => {
    task.output = line;
  };
}
