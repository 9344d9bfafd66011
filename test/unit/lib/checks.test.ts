import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type IPolicyValidationPlugin, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { afterAll, describe, expect, it } from 'vitest';
import { synthesize } from '../../support/lib/synth.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const findings: string[] = [];

const schedule = { name: 'nightly', expression: 'rate(1 day)', spec: { archive: 's3://b/archives/demo.tar.gz' } };
const aws = synthesize({ 'runctl:schedules': [schedule] }, (app) => {
  const nag = new AwsSolutionsChecks(app);
  // Writes down what cdk-nag finds, and lets the synthesis go on: the table below decides.
  const recorder: IPolicyValidationPlugin = {
    name: 'cdk-nag, written down',
    validate(context) {
      for (const { ruleName, violatingResources } of nag.validate(context).violations) {
        findings.push(...violatingResources.map(({ constructPath }) => `${ruleName} ${constructPath}`));
      }
      return { success: true, violations: [] };
    },
  };
  Validations.of(app).addPlugins(recorder);
});
afterAll(() => aws.remove());

/** Findings of cdk-nag that stand, each with its reason. A row that fits nothing any more has to go. */
const ACCEPTED: readonly [finding: RegExp, reason: string][] = [
  [
    /^AwsSolutions-S1 runctl\/Uploads\/Resource$/,
    'Access logs of a bucket with one writer cost more than they tell; CloudTrail data events are the account’s choice.',
  ],
  [
    /^AwsSolutions-SQS3 runctl\/(Summary)?DeadLetters\/Resource$/,
    'They are the dead-letter queues: cdk-nag looks for a redrive policy, and EventBridge and Lambda have none.',
  ],
  [/^AwsSolutions-L1 /, 'nodejs22.x is a supported LTS runtime; a move to nodejs24.x is a change of its own.'],
  [/^AwsSolutions-SF2 /, 'Tracing costs per trace and shows what the execution history shows already.'],
  [
    /^AwsSolutions-IAM5\[Resource::\*\] runctl\/(Steps|ImageSteps|Notifier|RunCount|ArchiveExpiry)\//,
    'Describe calls, GetCommandInvocation, ListSchedules and PutMetricData have no resource-level permissions.',
  ],
  [
    /^AwsSolutions-IAM5\[Resource::\*\] runctl\/Access-(watch|operator)\//,
    'Describe calls, ListSchedules and GetCommandInvocation have no resource-level permissions.',
  ],
  [
    /^AwsSolutions-IAM5\[Resource::arn:<AWS::Partition>:scheduler:.*:schedule\/runctl\/runctl-\*\] /,
    'Schedules are named by the people who add them.',
  ],
  [
    /^AwsSolutions-IAM5\[Resource::arn:<AWS::Partition>:cloudformation:.*:stack\/runctl\/\*\] /,
    'The id of a stack is not known before it is there.',
  ],
  [
    /^AwsSolutions-IAM5\[Resource::\*\] runctl\/(Run|Watch|Power|Bake)\/Machine\//,
    'Log deliveries of Step Functions have no ARNs.',
  ],
  [
    /^AwsSolutions-IAM5\[Resource::arn:<AWS::Partition>:s3:::cdk-\w+-assets-.*\/runctl\/\*\.zip\] /,
    'Programs of earlier deployments, which runs that began with them still need.',
  ],
  [
    /^AwsSolutions-IAM5\[Resource::arn:<AWS::Partition>:ec2:.*:instance\/\*\] /,
    'Which instances: the condition on the tag runctl=enabled says, and to start and stop them also runctl:power=managed.',
  ],
  [
    /^AwsSolutions-IAM5\[Resource::arn:<AWS::Partition>:ec2:.*:(launch-template|volume|network-interface|subnet|security-group|key-pair|placement-group|image|snapshot)\/\*\] runctl\/(ImageSteps|Access-operator)/,
    'Only from launch templates with the tag runctl=enabled, and only what a bake made.',
  ],
  [
    /^AwsSolutions-IAM5\[Resource::arn:<AWS::Partition>:iam::<AWS::AccountId>:role\/runctl-instance\*\] /,
    'The roles of instances that images may be made on are named so.',
  ],
  [
    /^AwsSolutions-IAM5\[Resource::arn:<AWS::Partition>:ssm:.*:parameter\/(runctl\/images|aws\/service)\/\*\] /,
    'Parameters are named after projects; those of AWS name its images.',
  ],
  [
    /^AwsSolutions-IAM5\[Resource::<Uploads\w+\.Arn>\/runs\/\*\/manifest\.json\] runctl\/ImageSteps\//,
    'Manifests: keys begin with the run, which is not known before.',
  ],
  [
    /^AwsSolutions-IAM5\[Resource::arn:<AWS::Partition>:logs:.*:log-group:\/runctl\/runs:\*\] /,
    'Streams are named after runs, which are not known before.',
  ],
  [
    /^AwsSolutions-IAM5\[Resource::arn:<AWS::Partition>:states:.*:execution:runctl-(run|watch|bake):\*\] /,
    'Executions of these machines.',
  ],
  [
    /^AwsSolutions-IAM5\[Resource::<Uploads\w+\.Arn>\/(runs|pieces|notified|interrupted|uploads|archives|patches|indexes|used|fetched|checkpoints|checkpoint-data|environments|environment-data)\/\*\] /,
    'What runs leave: keys begin with the run, which is not known before.',
  ],
  [
    /^AwsSolutions-IAM5\[Resource::<Uploads\w+\.Arn>\/runs\/\*\/[\w.*-]+\] runctl\/Summarizer\//,
    'One file of every run.',
  ],
  [
    /^AwsSolutions-IAM5\[Resource::arn:<AWS::Partition>:states:.*:execution:\{.*\*\] runctl\/(Run|Bake)\/Machine\//,
    'Executions of the nested machine, which get their names as they start.',
  ],
  [
    /^AwsSolutions-IAM5\[Resource::<\w+Function\w+\.Arn>:\*\] runctl\/(Run|Watch|Power|Bake)\/Machine\//,
    'Versions of the one function; the CDK grants them with it.',
  ],
];

/** W3005: the CDK writes DependsOn for a role that GetAtt already orders; harmless, and not ours to change. */
const CDK_HABIT = 'W3005';

describe('the template', () => {
  it('has no finding of cdk-nag but those that are accepted', () => {
    aws.app.synth();
    expect(findings.length).toBeGreaterThan(0);
    const open = findings.filter((finding) => !ACCEPTED.some(([pattern]) => pattern.test(finding)));
    expect(open).toEqual([]);
  });

  it('has a finding for each that is accepted', () => {
    const stale = ACCEPTED.filter(([pattern]) => !findings.some((finding) => pattern.test(finding)));
    expect(stale.map(([pattern]) => String(pattern))).toEqual([]);
  });

  it('is right for cfn-lint', { timeout: 300_000 }, () => {
    const args = [
      '--import',
      'tsx',
      'local/tools/python-tools.ts',
      'cfn-lint',
      '--ignore-checks',
      CDK_HABIT,
      '--',
      aws.file,
    ];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' });
    expect({ status, stdout }, stderr).toEqual({ status: 0, stdout: '' });
  });
});
