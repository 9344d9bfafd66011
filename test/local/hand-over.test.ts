import { CreateFunctionCommand, DeleteFunctionCommand, GetFunctionCommand, LambdaClient } from '@aws-sdk/client-lambda';
import {
  CreateStateMachineCommand,
  DeleteStateMachineCommand,
  DescribeExecutionCommand,
  DescribeStateMachineCommand,
  GetExecutionHistoryCommand,
  ListStateMachinesCommand,
  SFNClient,
  StartExecutionCommand,
} from '@aws-sdk/client-sfn';
import { strToU8, zipSync } from 'fflate';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { EVENTS_PER_EXECUTION, EVENTS_PER_STATE, forecastWatch } from '../../core/history-events.ts';
import { WATCH_MACHINE } from '../../core/names.ts';
import { POLLS_PER_WATCH } from '../../core/poll-timing.ts';
import { jobStep, watchInput } from '../fakes/samples.ts';
import { waitFor } from '../instance/processes.ts';
import { Cloud } from './cloud.ts';

/** A poll that never sees an end. It counts where it is, so that a cursor which is not handed on shows. */
const POLL = `exports.handler = async ({ step }) => ({ ...step, wait: 20, polls: step.polls + 1 });`;
const NAME = 'hand-over-test';

let cloud: Cloud;
let sfn: SFNClient;
let lambda: LambdaClient;
let machine: string | undefined;
const scaleWaits = (scale: string) =>
  fetch(`${cloud.endpoint}/_ministack/config`, {
    method: 'POST',
    body: JSON.stringify({ 'stepfunctions._SFN_WAIT_SCALE': scale }),
  });

beforeAll(async () => {
  cloud = await Cloud.connect();
  sfn = cloud.client(SFNClient);
  lambda = cloud.client(LambdaClient);
});
afterAll(async () => {
  await scaleWaits('1');
  if (machine) await sfn.send(new DeleteStateMachineCommand({ stateMachineArn: machine }));
  await lambda.send(new DeleteFunctionCommand({ FunctionName: NAME })).catch(() => undefined);
});

it('a nested watch hands over after its polls, with all that it knows, and far from the end of its history', async () => {
  const { stateMachines } = await sfn.send(new ListStateMachinesCommand({}));
  const watch = stateMachines?.find(({ name }) => name === WATCH_MACHINE)?.stateMachineArn;
  const { definition = '', roleArn } = await sfn.send(new DescribeStateMachineCommand({ stateMachineArn: watch }));
  const { Configuration } = await lambda.send(new GetFunctionCommand({ FunctionName: 'runctl-poll-logs' }));
  const stub = await lambda.send(
    new CreateFunctionCommand({
      FunctionName: NAME,
      Runtime: 'nodejs22.x',
      Handler: 'index.handler',
      Role: Configuration?.Role,
      Code: { ZipFile: zipSync({ 'index.js': strToU8(POLL) }) },
    }),
  );
  const arn = Configuration?.FunctionArn ?? '';
  expect(definition).toContain(arn);
  const created = await sfn.send(
    new CreateStateMachineCommand({
      name: NAME,
      roleArn,
      definition: definition.replaceAll(arn, stub.FunctionArn ?? ''),
    }),
  );
  machine = created.stateMachineArn;
  await scaleWaits('0.0001');
  const { context: _, ...input } = watchInput(jobStep('train'));
  const { executionArn } = await sfn.send(
    new StartExecutionCommand({ stateMachineArn: machine, input: JSON.stringify(input) }),
  );
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
