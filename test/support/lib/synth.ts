import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { STACK_NAME } from '../../../core/names.ts';
import { lambdaNames } from '../../../lib/functions/bundle.ts';
import { RunctlStack } from '../../../lib/stack.ts';
import type { MachineDefinition } from './state-graph.ts';

type Properties = Record<string, unknown>;
export interface Resource {
  readonly Type: string;
  readonly Properties: Properties;
}

/** The stack, synthesized into a temporary folder with empty handlers. */
export interface Synthesized {
  readonly app: App;
  readonly stack: RunctlStack;
  readonly template: Template;
  /** The template's file. */
  readonly file: string;
  readonly resources: Readonly<Record<string, Resource>>;
  of(type: string): Resource[];
  /** A state machine's definition, parsed; references to other resources have become their logical ids. */
  machine(name: string): MachineDefinition;
  remove(): void;
}

export function synthesize(context: Record<string, unknown> = {}, prepare: (app: App) => void = () => {}): Synthesized {
  const folder = mkdtempSync(join(tmpdir(), 'runctl-synth-'));
  const bundles = join(folder, 'lambdas');
  for (const name of lambdaNames()) {
    mkdirSync(join(bundles, name), { recursive: true });
    writeFileSync(join(bundles, name, 'index.mjs'), `export const handler = '${name}';\n`);
  }
  const app = new App({ outdir: join(folder, 'out'), context });
  try {
    prepare(app);
    const stack = new RunctlStack(app, bundles);
    const template = Template.fromStack(stack);
    const resources = template.toJSON().Resources as Record<string, Resource>;
    const of = (type: string) => Object.values(resources).filter((resource) => resource.Type === type);
    return {
      app,
      stack,
      template,
      file: join(folder, 'out', `${STACK_NAME}.template.json`),
      resources,
      of,
      machine(name) {
        const machines = of('AWS::StepFunctions::StateMachine');
        const found = machines.find((machine) => machine.Properties.StateMachineName === name);
        if (!found) throw new Error(`there is no state machine ${name}`);
        return JSON.parse(joined(found.Properties.DefinitionString)) as MachineDefinition;
      },
      remove: () => rmSync(folder, { recursive: true, force: true }),
    };
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

export const PSEUDO: Readonly<Record<string, string>> = {
  'AWS::Partition': 'aws',
  'AWS::Region': 'eu-central-1',
  'AWS::AccountId': '111122223333',
  'AWS::StackName': STACK_NAME,
};

/** The text of a value that CloudFormation joins. */
export function joined(value: unknown): string {
  if (typeof value === 'string') return value;
  const { 'Fn::Join': join_, 'Fn::GetAtt': attribute, 'Fn::Sub': template, Ref } = value as Record<string, unknown>;
  if (Array.isArray(join_)) return (join_[1] as unknown[]).map(joined).join(join_[0] as string);
  if (Array.isArray(attribute)) return attribute.join('.');
  if (typeof template === 'string')
    return template.replace(/\$\{([\w:]+)\}/g, (_, name: string) => PSEUDO[name] ?? name);
  if (typeof Ref === 'string') return PSEUDO[Ref] ?? Ref;
  throw new Error(`cannot read ${JSON.stringify(value)}`);
}

export function asList<T>(value: T | T[] | undefined): T[] {
  return value === undefined ? [] : Array.isArray(value) ? value : [value];
}
