import { Listr } from 'listr2';
import { pushDocuments } from '../cloud/documents.ts';
import { LocalError } from '../cloud/errors.ts';
import { defaultInstance, registerInstance } from '../cloud/instance.ts';
import { withLock } from '../cloud/lock.ts';
import { prepareMinistack } from '../cloud/ministack.ts';
import type { StatePaths } from '../cloud/paths.ts';
import { endGroup } from '../cloud/processes.ts';
import { bringAgentUp, bringMinistackUp, healthOf } from '../cloud/services.ts';
import { assembly, bootstrap, deploy, sourcesHash, stackOutputs, synthesize } from '../cloud/stack.ts';
import { type LocalState, readState, writeState } from '../cloud/state.ts';
import type { Report } from '../tools/python-tools.ts';
import { endCloud } from './down.ts';

export interface UpOptions {
  /** A program that executes commands instead of the imitated agent; null for the imitation. */
  readonly agentCommand: string | null;
  /** `changed`: when the sources differ from what was deployed last. */
  readonly deploy: 'changed' | 'always' | 'never';
  /** Ends the work, and every process that it started. */
  readonly signal: AbortSignal;
  /** `silent` for programs, otherwise a live list on a terminal and plain lines in a pipe. */
  readonly output: 'progress' | 'silent';
}

interface Context {
  state: LocalState | undefined;
  venv: string;
  /** Nothing was to do. */
  untouched: boolean;
}

/**
 * Brings the local cloud up, or repairs it: what runs and answers is left alone. @returns its state.
 * @throws LocalError that names the cause and the next step. After an interruption nothing that this call started is left;
 * after a failure the services stay, so that the next call goes on from there.
 */
export async function up(paths: StatePaths, options: UpOptions): Promise<{ state: LocalState; untouched: boolean }> {
  const { signal } = options;
  return await withLock(
    paths.lock,
    () => console.error('Another `runctl local` command is running. Waiting for it to end.'),
    async () => {
      const before = await readState(paths);
      const context: Context = { state: before, venv: '', untouched: true };
      try {
        await steps(paths, options).run(context);
      } catch (error) {
        if (!signal.aborted) throw error; // what runs stays, with its logs, for the next `up` to go on from
        await endStarted(paths, before);
        throw new LocalError('Interrupted. Everything that had started was stopped.', 'Run `runctl local up` again.');
      }
      if (context.state === undefined) throw new Error('The steps of up left no state.');
      return { state: context.state, untouched: context.untouched };
    },
    signal,
  );
}

/** Ends what was started since `before`: all of it, or the agent alone when the emulator had been there already. */
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
          context.untouched = false;
          context.state = await bringMinistackUp(context.venv, options.agentCommand, paths, signal);
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
          context.untouched = false;
          context.state = await bringAgentUp(state, options.agentCommand, paths, signal);
          task.title = `SSM agent at ${state.ssmEndpoint}`;
        },
      },
      {
        title: 'Local instance',
        task: async (context, task) => {
          const state = have(context);
          const instanceId = await registerInstance(state, defaultInstance(paths));
          if (instanceId !== state.instanceId) context.untouched = false;
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
          context.untouched = false;
          const report = reportTo(task);
          task.title = 'Stack: preparing the templates';
          await synthesize(sources, state, paths, report, signal);
          if (state.deployed === null) {
            task.title = 'Stack: cdk bootstrap';
            await bootstrap(state, paths, report, signal);
          }
          task.title = 'Stack: SSM documents';
          // Before the functions that name their versions.
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
      // Ctrl-C is ours: it must end what was started before the process goes.
      registerSignalListeners: false,
    },
  );
}

function reportTo(task: { output: string }): Report {
  return (line) => {
    task.output = line;
  };
}
