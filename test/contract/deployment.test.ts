import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { BAKE_MACHINE, ENV, POWER_MACHINE, RUN_MACHINE, WATCH_MACHINE } from '../../core/names.ts';
import { BAKE_STATES } from '../../core/workflow/states.ts';
import { lambdaNames } from '../../lib/functions/bundle.ts';
import { CALLED } from '../support/lib/function-calls.ts';
import { tasksOf } from '../support/lib/state-graph.ts';
import { synthesize } from '../support/lib/synth.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const aws = synthesize();
afterAll(() => aws.remove());

const handler = (name: string) => readFileSync(join(ROOT, 'lambdas', `${name}.ts`), 'utf8');
const all = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map((match) => match[1] ?? '');

/** The functions at the top level of aws/ and lambdas/adapters/, by name. */
const helpers = new Map(
  ['aws', 'lambdas/adapters'].flatMap((folder) =>
    readdirSync(join(ROOT, folder)).flatMap((file) => {
      const text = readFileSync(join(ROOT, folder, file), 'utf8');
      const found = text.matchAll(/^(?:export )?(?:async )?function\*? (\w+)[\s\S]*?^}$/gm);
      return [...found].map(([body, name = '']) => [name, body] as const);
    }),
  ),
);

/** Those that a handler's code calls, and those that they call. */
function helpersOf(text: string, seen = new Set<string>()): Set<string> {
  for (const [name, body] of helpers) {
    if (seen.has(name) || !new RegExp(`(?<![\\w?)\\]]\\.)(?<!\\w)${name}\\(`).test(text)) continue;
    seen.add(name);
    helpersOf(body, seen);
  }
  return seen;
}

const functions = new Map(
  aws
    .of('AWS::Lambda::Function')
    .map(({ Properties }) => [String(Properties.FunctionName).replace(/^runctl-/, ''), Properties]),
);

describe('states and handlers', () => {
  /** Two states of a bake start an instance. */
  const SHARED: Readonly<Record<string, string>> = {
    [BAKE_STATES.start]: 'start-image-instance',
    [BAKE_STATES.startTest]: 'start-image-instance',
  };
  const kebab = (state: string) => SHARED[state] ?? state.toLowerCase().replaceAll(' ', '-');

  it('have one name: a file in lambdas/ for each state that calls a function', () => {
    const states = [RUN_MACHINE, WATCH_MACHINE, POWER_MACHINE, BAKE_MACHINE].flatMap((machine) => {
      const tasks = tasksOf(aws.machine(machine)).filter(([, { Resource }]) => Resource?.endsWith(':lambda:invoke'));
      for (const [name, { Arguments }] of tasks) {
        const id = String(Arguments?.FunctionName).split('.')[0] ?? '';
        expect(aws.resources[id]?.Properties.FunctionName, name).toBe(`runctl-${kebab(name)}`);
      }
      return [...new Set(tasks.map(([name]) => kebab(name)))];
    });
    // Those that are no state: one starts the machine, one ends what it left, three report on it, one notes what EC2 announces, one sweeps.
    const others = [
      'expire-archives',
      'note-interruption',
      'notify-run',
      'summarize-run',
      'count-runs',
      'start-run',
      'stop-run',
    ];
    expect([...states, ...others].sort()).toEqual(lambdaNames().sort());
  });
});

describe.each(lambdaNames())('%s', (name) => {
  const called = [...helpersOf(handler(name))].map((helper) => helpers.get(helper) ?? '');
  const texts = [handler(name), ...called];

  it('is given the environment that it reads, all of it and no more', () => {
    const read = texts.flatMap((text) => all(text, /requireEnv\('(\w+)'\)/g)) as (keyof typeof ENV)[];
    const { Variables } = (functions.get(name)?.Environment ?? { Variables: {} }) as {
      Variables: Record<string, unknown>;
    };
    const given = Object.keys(Variables).filter((variable) => variable.startsWith('RUNCTL_'));
    expect(given.sort()).toEqual([...new Set(read.map((key) => ENV[key]))].sort());
  });

  it('makes the SDK calls that are listed here', () => {
    const sent = new Set(called.flatMap((text) => all(text, /new (\w+)Command\(/g)));
    // A handler may use a part of a client: what it uses is among what its clients can do.
    const listed = (CALLED.get(name) ?? []).map((call) =>
      call.replace(/RunFile|Program|Archive|Checkpoint|Environment|Notice$/, 'Object'),
    );
    expect(listed.filter((call) => !sent.has(call))).toEqual([]);
    const unused = [...sent].filter((call) => !listed.includes(call));
    for (const call of unused) {
      const method = Object.entries(METHODS).find(([, calls]) => calls.includes(call))?.[0] ?? call;
      expect(usesMethod(handler(name), method), `${name} uses ${method}, which calls ${call}`).toBe(false);
    }
  });
});

/** Methods of the ports that belong to one call each: some handlers use only a part of a port. */
const METHODS: Readonly<Record<string, readonly string[]>> = {
  currentVersion: ['HeadObject'],
  start: ['StartExecution'],
  hasEnded: ['DescribeExecution'],
  history: ['GetExecutionHistory'],
  lastOutput: ['GetExecutionHistory'],
  stop: ['StopExecution'],
  running: ['ListExecutions'],
  ping: ['DescribeInstanceInformation'],
  open: ['GetObject'],
};
const usesMethod = (text: string, method: string) =>
  new RegExp(`(archives|executions|instances)\\.${method}\\(`).test(text);
