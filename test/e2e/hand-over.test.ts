import { CreateFunctionCommand, GetFunctionCommand, LambdaClient } from '@aws-sdk/client-lambda';
import {
  CreateStateMachineCommand,
  DescribeExecutionCommand,
  DescribeStateMachineCommand,
  GetExecutionHistoryCommand,
  ListStateMachinesCommand,
  SFNClient,
  StartExecutionCommand,
} from '@aws-sdk/client-sfn';
import { strToU8, zipSync } from 'fflate';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { EVENTS_PER_EXECUTION, EVENTS_PER_STATE, forecastWatch } from '../../bench/history-events.ts';
import { WATCH_MACHINE } from '../../core/names.ts';
import { POLLS_PER_WATCH } from '../../core/workflow/poll-timing.ts';
import { localSettings } from '../../local/cloud/clients.ts';
import { Cloud } from '../support/cloud/cloud.ts';
import { bringUpOwnCloud, type OwnCloud } from '../support/cloud/own-cloud.ts';
import { jobStep, watchInput } from '../support/fakes/samples.ts';
import { waitFor } from '../support/instance/processes.ts';

/** A poll that never sees an end. It counts where it is, so that a cursor which is not handed on shows. */
const POLL = `exports.handler = async ({ step }) => ({ ...step, wait: 20, polls: step.polls + 1 });`;
const NAME = 'hand-over-test';

let shared: Cloud;
let own: OwnCloud;
beforeAll(async () => {
  shared = await Cloud.connect();
  own = await bringUpOwnCloud('hand-over', 'never');
  await own.scaleWaits(0.0001);
});
afterAll(() => own.remove());

/** The definition of runctl-watch as it is deployed, and the function that it polls by. */
async function deployedWatch(): Promise<{ definition: string; roleArn: string; poll: string }> {
  const sfn = shared.client(SFNClient);
  const { stateMachines } = await sfn.send(new ListStateMachinesCommand({}));
  const stateMachineArn = stateMachines?.find(({ name }) => name === WATCH_MACHINE)?.stateMachineArn;
  const { definition = '', roleArn = '' } = await sfn.send(new DescribeStateMachineCommand({ stateMachineArn }));
  const lambda = shared.client(LambdaClient);
  const { Configuration } = await lambda.send(new GetFunctionCommand({ FunctionName: 'runctl-poll-logs' }));
  return { definition, roleArn, poll: Configuration?.FunctionArn ?? '' };
}

/** The same machine in the file's own cloud, where waits are short, and its polls answered by {@link POLL}. */
async function createWatch(sfn: SFNClient): Promise<string> {
  const { definition, roleArn, poll } = await deployedWatch();
  expect(definition).toContain(poll);
  const stub = await new LambdaClient(localSettings(own.state)).send(
    new CreateFunctionCommand({
      FunctionName: NAME,
      Runtime: 'nodejs22.x',
      Handler: 'index.handler',
      Role: roleArn,
      Code: { ZipFile: zipSync({ 'index.js': strToU8(POLL) }) },
    }),
  );
  const created = await sfn.send(
    new CreateStateMachineCommand({
      name: NAME,
      roleArn,
      definition: definition.replaceAll(poll, stub.FunctionArn ?? ''),
    }),
  );
  return created.stateMachineArn ?? '';
}

it('a nested watch hands over after its polls, with all that it knows, and far from the end of its history', async () => {
  const sfn = new SFNClient(localSettings(own.state));
  const stateMachineArn = await createWatch(sfn);
  const { context: _, ...input } = watchInput(jobStep('train'));
  const { executionArn } = await sfn.send(new StartExecutionCommand({ stateMachineArn, input: JSON.stringify(input) }));
  const ended = await waitFor(async () => {
    const seen = await sfn.send(new DescribeExecutionCommand({ executionArn }));
    return seen.status === 'RUNNING' ? null : seen;
  }, 240);
  expect(ended.status).toBe('SUCCEEDED');

  const entered = new Map<string, number>();
  const names = new Set<string>();
  let last: string | null = null;
  let nextToken: string | undefined;
  do {
    const page = await sfn.send(new GetExecutionHistoryCommand({ executionArn, nextToken, maxResults: 1_000 }));
    for (const event of page.events ?? []) {
      const type = /^(\w+)StateEntered$/.exec(event.type ?? '')?.[1];
      if (type) entered.set(type, (entered.get(type) ?? 0) + 1);
      if (type) names.add(event.stateEnteredEventDetails?.name ?? '');
      last =
        event.stateExitedEventDetails?.name === 'Poll logs' ? (event.stateExitedEventDetails.output ?? null) : last;
    }
    nextToken = page.nextToken;
  } while (nextToken);
  expect(JSON.parse(last ?? 'null')).toMatchObject({ polls: POLLS_PER_WATCH, job: 'train' });
  expect(names).toContain('Hand over');
  expect(entered.get('Task')).toBe(POLLS_PER_WATCH);
  const events = [...entered].reduce(
    (sum, [type, count]) => sum + count * EVENTS_PER_STATE[type as keyof typeof EVENTS_PER_STATE],
    EVENTS_PER_EXECUTION,
  );
  expect(events).toBeLessThan(20_000);
  const month = forecastWatch(30 * 86_400, 2);
  expect(month.eventsPerWatch).toBeGreaterThanOrEqual(events);
  expect(month.eventsPerWatch - events).toBeLessThan(20);
  expect(month.eventsOfParent).toBeLessThan(20_000);
});
