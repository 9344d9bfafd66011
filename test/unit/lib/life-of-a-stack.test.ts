import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { type Resource, synthesize } from '../../support/lib/synth.ts';

/** What the template means for a destroy, a failed first deployment, a second region, and a deployment over an older version. */

const schedule = {
  name: 'nightly',
  expression: 'rate(1 day)',
  spec: { archive: 's3://b/archives/demo.tar.gz', project: 'demo' },
};
const aws = synthesize({ 'runctl:schedules': [schedule], 'runctl:notifyEmails': ['ml@example.org'] });
afterAll(() => aws.remove());

interface Kind {
  /** The property that names it. null: CloudFormation makes up a name that is unique in the world. */
  readonly name: string | null;
  /** Names are taken in one region, or in all of the account's (or of everybody's). */
  readonly scope: 'region' | 'global';
  /** Properties that cannot change: another value makes CloudFormation create a second one first, which fails when the name is taken. */
  readonly createOnly: readonly string[];
}
const unnamed = (scope: Kind['scope'] = 'region'): Kind => ({ name: null, scope, createOnly: [] });
const named = (name: string, scope: Kind['scope'] = 'region', createOnly: readonly string[] = []): Kind => ({
  name,
  scope,
  createOnly: [name, ...createOnly],
});

/** From the CloudFormation resource and property types reference. */
const KINDS: Readonly<Record<string, Kind>> = {
  'AWS::CloudWatch::Alarm': named('AlarmName'),
  'AWS::CloudWatch::Dashboard': named('DashboardName', 'global'),
  'AWS::Events::Rule': named('Name'),
  'AWS::IAM::ManagedPolicy': named('ManagedPolicyName', 'global', ['Description', 'Path']),
  'AWS::IAM::Policy': unnamed('global'),
  'AWS::IAM::Role': named('RoleName', 'global', ['Path']),
  'AWS::Lambda::EventInvokeConfig': unnamed(),
  'AWS::Lambda::Function': named('FunctionName', 'region', ['PackageType']),
  'AWS::Lambda::Permission': unnamed(),
  'AWS::Logs::LogGroup': named('LogGroupName'),
  'AWS::S3::Bucket': named('BucketName', 'global'),
  'AWS::S3::BucketPolicy': unnamed(),
  'AWS::Scheduler::Schedule': named('Name'),
  'AWS::Scheduler::ScheduleGroup': named('Name'),
  'AWS::SNS::Subscription': unnamed(),
  'AWS::SNS::Topic': named('TopicName', 'region', ['FifoTopic']),
  'AWS::SNS::TopicPolicy': unnamed(),
  'AWS::SQS::Queue': named('QueueName', 'region', ['FifoQueue']),
  'AWS::SQS::QueuePolicy': unnamed(),
  'AWS::SSM::Document': named('Name', 'region', ['DocumentType']),
  'AWS::StepFunctions::StateMachine': named('StateMachineName', 'region', ['StateMachineType']),
};

type Listed = Resource & {
  readonly id: string;
  readonly DeletionPolicy?: string;
  readonly UpdateReplacePolicy?: string;
};
const resources: Listed[] = Object.entries(aws.resources).map(([id, resource]) => ({ ...resource, id }));
const kindOf = ({ Type }: Pick<Resource, 'Type'>) => KINDS[Type] ?? named('unknown');
const fixedName = (resource: Pick<Resource, 'Type' | 'Properties'>) => {
  const { name } = kindOf(resource);
  return name === null ? undefined : resource.Properties[name];
};

describe('the stack', () => {
  it('has no resource whose life is not known here: a custom resource runs code of its own', () => {
    expect(resources.map(({ Type }) => Type).filter((type) => !(type in KINDS))).toEqual([]);
  });

  it('keeps the bucket and the log of the runs when it is deleted, and nothing else', () => {
    const kept = resources.filter(({ DeletionPolicy }) => (DeletionPolicy ?? 'Delete') !== 'Delete');
    expect(kept.map(({ Type }) => Type).sort()).toEqual(['AWS::Logs::LogGroup', 'AWS::S3::Bucket']);
    // It has no policy that differs when a replacement takes its place.
    for (const { UpdateReplacePolicy } of kept) expect(UpdateReplacePolicy).toBe('Retain');
  });

  it('can be deployed again after it was deleted: what stays under a fixed name, the guide removes', () => {
    const guide = readFileSync(new URL('../../../docs/guide/first-run.md', import.meta.url), 'utf8');
    const cleanUp = guide.slice(guide.indexOf('## 10. Clean up'));
    const kept = resources.filter(({ DeletionPolicy }) => (DeletionPolicy ?? 'Delete') !== 'Delete');
    const names = kept.map(fixedName).filter((name) => name !== undefined);
    expect(names).toEqual(['/runctl/runs']);
    for (const name of names) expect(cleanUp).toContain(`--log-group-name ${name as string}`);
  });

  it('leaves nothing of a first deployment that failed', () => {
    for (const { id, DeletionPolicy = 'Delete' } of resources)
      expect(['Delete', 'RetainExceptOnCreate'], id).toContain(DeletionPolicy);
  });

  it('can be deployed in a second region: names that all regions share have the region in them, or are made up', () => {
    for (const resource of resources.filter((one) => kindOf(one).scope === 'global')) {
      const name = fixedName(resource);
      if (name !== undefined) expect(JSON.stringify(name), resource.id).toContain('{"Ref":"AWS::Region"}');
    }
  });

  it('has each name once', () => {
    const names = resources.flatMap((resource) => {
      const name = fixedName(resource);
      return name === undefined ? [] : [`${resource.Type} ${JSON.stringify(name)}`];
    });
    expect(names.length).toBeGreaterThan(30);
    expect(new Set(names).size).toBe(names.length);
  });
});

describe('deployed over runctl 0.1.0', () => {
  const file = new URL('../../support/fixtures/fixed-names-0.1.0.json', import.meta.url);
  const before = JSON.parse(readFileSync(file, 'utf8')) as Record<string, Resource>;
  const sameName = (one: Resource, other: Resource) =>
    one.Type === other.Type && JSON.stringify(fixedName(one)) === JSON.stringify(fixedName(other));

  it('keeps the logical id of everything that has a fixed name: under another id it would be created beside itself', () => {
    for (const [id, old] of Object.entries(before)) {
      const now = resources.find((resource) => sameName(resource, old));
      if (now) expect(now.id).toBe(id);
    }
  });

  it('changes nothing that cannot change under a fixed name', () => {
    const compared = Object.entries(before).flatMap(([id, old]) => {
      const now = aws.resources[id];
      if (!now || !sameName(now, old)) return [];
      for (const property of kindOf(old).createOnly)
        expect(now.Properties[property], `${id} ${property}`).toEqual(old.Properties[property]);
      return [id];
    });
    expect(compared.length).toBeGreaterThan(25);
  });

  it('keeps the bucket and the log of the runs, and so what they have', () => {
    expect(Object.keys(aws.resources)).toEqual(expect.arrayContaining(['Uploads4F6EB0FD', 'RunLogs49351A3E']));
  });
});
