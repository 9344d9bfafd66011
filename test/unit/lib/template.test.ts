import { afterAll, describe, expect, it } from 'vitest';
import { DOCUMENTS, OUTPUTS, SCHEDULE_GROUP } from '../../../core/names.ts';
import { METRICS } from '../../../core/notify/metrics.ts';
import { lambdaNames } from '../../../lib/functions/bundle.ts';
import { asList, joined, synthesize } from '../../support/lib/synth.ts';

const schedule = {
  name: 'nightly',
  expression: 'cron(0 3 * * ? *)',
  timezone: 'Europe/Berlin',
  spec: { archive: 's3://b/archives/demo.tar.gz', project: 'demo' },
};
const aws = synthesize({
  'runctl:schedules': [schedule, { ...schedule, name: 'often', expression: 'rate(1 minute)', timezone: undefined }],
  'runctl:notifyEmails': ['ml@example.org'],
});
const local = synthesize({ 'runctl:local': 'true' });
afterAll(() => {
  aws.remove();
  local.remove();
});

interface Statement {
  readonly Effect: string;
  readonly Action: string | string[];
  readonly Resource: unknown;
  readonly Condition?: Record<string, unknown>;
}
const policies = ({ of }: typeof aws) => [
  ...[...of('AWS::IAM::Policy'), ...of('AWS::IAM::ManagedPolicy')].map(({ Properties }) => Properties.PolicyDocument),
  ...of('AWS::IAM::Role').flatMap(({ Properties }) =>
    asList(Properties.Policies as { PolicyDocument: unknown }[] | undefined).map(
      ({ PolicyDocument }) => PolicyDocument,
    ),
  ),
];
const isForStops = (properties: Record<string, unknown>) => JSON.stringify(properties).includes('aws.states');
const statements = policies(aws).flatMap((document) => (document as { Statement: Statement[] }).Statement);
const allowed = statements.filter(({ Effect }) => Effect === 'Allow');

describe('the stack', () => {
  it('is called runctl and has the outputs of the contract', () => {
    expect(aws.stack.stackName).toBe('runctl');
    expect(Object.keys(aws.template.toJSON().Outputs as object).sort()).toEqual(Object.values(OUTPUTS).sort());
  });

  it('keeps uploads private, encrypted, versioned, for TLS only, and tidies up', () => {
    const [bucket, ...more] = aws.of('AWS::S3::Bucket');
    expect(more).toEqual([]);
    expect(bucket?.Properties).toMatchObject({
      PublicAccessBlockConfiguration: {
        BlockPublicAcls: true,
        BlockPublicPolicy: true,
        IgnorePublicAcls: true,
        RestrictPublicBuckets: true,
      },
      VersioningConfiguration: { Status: 'Enabled' },
      BucketEncryption: { ServerSideEncryptionConfiguration: [expect.anything()] },
      NotificationConfiguration: { EventBridgeConfiguration: { EventBridgeEnabled: true } },
      LifecycleConfiguration: {
        Rules: [
          ...['pieces/', 'notified/', 'interrupted/', 'patches/', 'fetched/'].map((Prefix) => ({
            Prefix,
            ExpirationInDays: 1,
            NoncurrentVersionExpiration: { NoncurrentDays: 1 },
            Status: 'Enabled',
          })),
          ...['indexes/', 'used/'].map((Prefix) => ({
            Prefix,
            ExpirationInDays: 90,
            NoncurrentVersionExpiration: { NoncurrentDays: 1 },
            Status: 'Enabled',
          })),
          // Only what was uploaded for a run, or is not used any more: not what people or schedules name.
          {
            Prefix: 'archives/',
            TagFilters: [{ Key: 'runctl-expires', Value: 'yes' }],
            ExpirationInDays: 90,
            NoncurrentVersionExpiration: { NoncurrentDays: 37 },
            Status: 'Enabled',
          },
          ...['environment-data/', 'environments/'].map((Prefix) => ({
            Prefix,
            ExpirationInDays: 30,
            NoncurrentVersionExpiration: { NoncurrentDays: 1 },
            Status: 'Enabled',
          })),
          ...['checkpoint-data/', 'checkpoints/'].map((Prefix) => ({
            Prefix,
            NoncurrentVersionExpiration: { NoncurrentDays: 1 },
            Status: 'Enabled',
          })),
          {
            NoncurrentVersionExpiration: { NoncurrentDays: 37 },
            AbortIncompleteMultipartUpload: { DaysAfterInitiation: 2 },
            Status: 'Enabled',
          },
        ],
      },
    });
    const [policy] = aws.of('AWS::S3::BucketPolicy');
    expect(JSON.stringify(policy)).toMatch(
      /"Effect":"Deny".*"aws:SecureTransport":"false"|"aws:SecureTransport":"false".*"Effect":"Deny"/,
    );
  });

  it('starts runs only of uploads/ of its own bucket, and loses no event', () => {
    const rule = aws.of('AWS::Events::Rule').find(({ Properties }) => JSON.stringify(Properties).includes('uploads/'));
    expect(rule?.Properties).toMatchObject({
      EventPattern: {
        source: ['aws.s3'],
        'detail-type': ['Object Created'],
        detail: {
          bucket: { name: [{ Ref: expect.stringContaining('Uploads') }] },
          object: { key: [{ prefix: 'uploads/' }] },
        },
      },
      Targets: [
        {
          DeadLetterConfig: { Arn: expect.anything() },
          RetryPolicy: { MaximumRetryAttempts: 185, MaximumEventAgeInSeconds: 86_400 },
        },
      ],
    });
    expect(JSON.stringify(aws.of('AWS::Lambda::EventInvokeConfig'))).toContain('DeadLetters');
  });

  it('stores the metrics of every run whose manifest is written, and loses no event to the queue of runs', () => {
    const functionId = Object.entries(aws.resources).find(
      ([, { Properties }]) => Properties.FunctionName === 'runctl-summarize-run',
    )?.[0];
    const rules = aws
      .of('AWS::Events::Rule')
      .filter(({ Properties }) => JSON.stringify(Properties).includes('Summarizer'));
    expect(rules.map(({ Properties }) => Properties)).toMatchObject([
      {
        EventPattern: {
          source: ['aws.s3'],
          'detail-type': ['Object Created'],
          detail: {
            bucket: { name: [{ Ref: expect.stringContaining('Uploads') }] },
            object: { key: [{ wildcard: 'runs/*/manifest.json' }] },
          },
        },
        Targets: [
          {
            Arn: { 'Fn::GetAtt': [functionId, 'Arn'] },
            DeadLetterConfig: { Arn: { 'Fn::GetAtt': [expect.stringMatching(/^SummaryDeadLetters/), 'Arn'] } },
            RetryPolicy: { MaximumRetryAttempts: 185, MaximumEventAgeInSeconds: 86_400 },
          },
        ],
      },
    ]);
    const configs = aws.of('AWS::Lambda::EventInvokeConfig').map(({ Properties }) => JSON.stringify(Properties));
    const own = configs.filter((config) => config.includes(`"${functionId}"`));
    expect(own).toHaveLength(1);
    expect(own[0]).toContain('SummaryDeadLetters');
  });

  it('notifies stop-run of runs that were stopped from outside, and loses no event', () => {
    const rules = aws.of('AWS::Events::Rule');
    expect(rules.find(({ Properties }) => isForStops(Properties))?.Properties).toMatchObject({
      EventPattern: {
        'detail-type': ['Step Functions Execution Status Change'],
        detail: {
          stateMachineArn: [{ Ref: expect.stringContaining('RunMachine') }],
          status: ['ABORTED', 'TIMED_OUT', 'FAILED'],
        },
      },
      Targets: [
        {
          Arn: { 'Fn::GetAtt': [expect.stringContaining('stoprun'), 'Arn'] },
          DeadLetterConfig: { Arn: expect.anything() },
          RetryPolicy: { MaximumRetryAttempts: 185, MaximumEventAgeInSeconds: 86_400 },
        },
      ],
    });
  });

  it('notifies of runs whose manifest is written, and of no other file of a run', () => {
    const rule = aws.of('AWS::Events::Rule').find(({ Properties }) => JSON.stringify(Properties).includes('manifest'));
    expect(rule?.Properties).toMatchObject({
      EventPattern: {
        source: ['aws.s3'],
        detail: {
          bucket: { name: [{ Ref: expect.anything() }] },
          object: { key: [{ wildcard: 'runs/*/manifest.json' }] },
        },
      },
      Targets: [{ DeadLetterConfig: { Arn: expect.anything() } }],
    });
  });

  it('has a schedule for each in the context, with time zone, spec and dead letters', () => {
    const schedules = aws.of('AWS::Scheduler::Schedule').map(({ Properties }) => Properties);
    expect(schedules).toMatchObject([
      { Name: 'runctl-nightly', ScheduleExpression: schedule.expression, ScheduleExpressionTimezone: 'Europe/Berlin' },
      { Name: 'runctl-often', ScheduleExpression: 'rate(1 minute)', ScheduleExpressionTimezone: 'UTC' },
    ]);
    for (const { Target } of schedules) {
      const { Input, DeadLetterConfig } = Target as { Input: unknown; DeadLetterConfig: unknown };
      const { schedule: meant, spec } = JSON.parse(joined(Input));
      expect(meant).toEqual({ name: expect.stringMatching(/^runctl-/), time: '<aws.scheduler.scheduled-time>' });
      expect(spec).toEqual({ startedBy: expect.stringMatching(/^schedule /), ...schedule.spec });
      expect(JSON.stringify(DeadLetterConfig)).toContain('DeadLetters');
    }
    expect(local.of('AWS::Scheduler::Schedule')).toEqual([]);
  });

  it('lets EventBridge Scheduler start runs for schedules of its own group alone', () => {
    expect(aws.of('AWS::Scheduler::ScheduleGroup')[0]?.Properties.Name).toBe(SCHEDULE_GROUP);
    for (const { Properties } of aws.of('AWS::Scheduler::Schedule')) expect(Properties.GroupName).toBeDefined();
    const roles = aws
      .of('AWS::IAM::Role')
      .filter(({ Properties }) => JSON.stringify(Properties).includes('scheduler.'));
    expect(roles).toHaveLength(1);
    expect(roles[0]?.Properties.AssumeRolePolicyDocument).toMatchObject({
      Statement: [
        {
          Condition: {
            StringEquals: { 'aws:SourceArn': { 'Fn::GetAtt': [expect.stringContaining('SchedulesGroup'), 'Arn'] } },
          },
        },
      ],
    });
    expect(roles[0]?.Properties.Policies).toMatchObject([
      {
        PolicyDocument: {
          Statement: [
            { Action: 'lambda:InvokeFunction' },
            { Action: 'states:StartExecution' },
            { Action: 'sqs:SendMessage' },
          ],
        },
      },
    ]);
  });

  it("notifies people through a topic that requires TLS and accepts the account's alarms", () => {
    const [policy] = aws.of('AWS::SNS::TopicPolicy');
    expect(policy?.Properties.PolicyDocument).toMatchObject({
      Statement: [
        { Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } },
        {
          Effect: 'Allow',
          Action: 'sns:Publish',
          Principal: { Service: 'cloudwatch.amazonaws.com' },
          Condition: { StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } } },
        },
      ],
    });
    expect(
      aws.of('AWS::SNS::Subscription').map(({ Properties }) => [Properties.Protocol, Properties.Endpoint]),
    ).toEqual([['email', 'ml@example.org']]);
  });

  it('sets a retention on every log group', () => {
    const groups = aws.of('AWS::Logs::LogGroup');
    expect(groups.length).toBe(lambdaNames().length + 5);
    for (const { Properties } of groups)
      expect(Properties.RetentionInDays, String(Properties.LogGroupName)).toEqual(expect.any(Number));
    expect(
      groups.find(({ Properties }) => Properties.LogGroupName === '/runctl/runs')?.Properties.RetentionInDays,
    ).toBe(90);
  });
});

describe('the functions', () => {
  const functions = aws.of('AWS::Lambda::Function').map(({ Properties }) => Properties);

  it('are one for each file in lambdas/, on arm64', () => {
    expect(functions.map(({ FunctionName }) => FunctionName).sort()).toEqual(
      lambdaNames()
        .map((name) => `runctl-${name}`)
        .sort(),
    );
    for (const { Architectures, Runtime, Handler } of functions) {
      expect({ Architectures, Runtime, Handler }).toEqual({
        Architectures: ['arm64'],
        Runtime: 'nodejs22.x',
        Handler: 'index.handler',
      });
    }
  });

  it('have a role and a log group of their own each', () => {
    for (const own of ['Role', 'LoggingConfig'] as const) {
      expect(new Set(functions.map((one) => JSON.stringify(one[own]))).size).toBe(functions.length);
    }
    for (const { Role } of functions) {
      const id = (Role as { 'Fn::GetAtt': [string, string] })['Fn::GetAtt'][0];
      expect(aws.resources[id]?.Properties).not.toHaveProperty('ManagedPolicyArns');
    }
  });
});

describe('permissions', () => {
  it('have no wildcard in an action', () => {
    for (const { Action } of allowed)
      for (const action of asList(Action)) expect(action).toMatch(/^[a-z0-9]+:[A-Za-z]+$/);
  });

  it('have * as resource only where AWS offers nothing else', () => {
    const open = allowed
      .filter(({ Resource }) => asList(Resource).includes('*'))
      .flatMap(({ Action }) => asList(Action));
    const noResources = [
      'cloudwatch:PutMetricData',
      'scheduler:ListSchedules',
      'ssm:GetCommandInvocation',
      'ssm:DescribeInstanceInformation',
      'ec2:DescribeInstances',
      'ec2:DescribeImages',
      'ec2:DescribeLaunchTemplates',
      'ec2:DescribeLaunchTemplateVersions',
      'ec2:DescribeSpotPriceHistory',
      'pricing:GetProducts',
    ];
    // The state machines' own logging: log deliveries and resource policies have no ARNs.
    const logging = open.filter((action) => action.startsWith('logs:'));
    for (const action of logging) expect(action).toMatch(/LogDelivery|LogDeliveries|ResourcePolic|DescribeLogGroups/);
    const tracing = ['xray:PutTraceSegments', 'xray:PutTelemetryRecords'];
    const rest = open.filter((action) => !logging.includes(action) && !tracing.includes(action));
    expect([...new Set(rest)].sort()).toEqual([...noResources].sort());
  });

  it('send commands by our documents, to tagged instances, and by nothing else', () => {
    const sends = allowed.filter(({ Action }) => asList(Action).includes('ssm:SendCommand'));
    expect(sends.length).toBeGreaterThan(0);
    const document = (name: string) => `arn:aws:ssm:eu-central-1:111122223333:document/${name}`;
    const ours = DOCUMENTS.map(document);
    for (const { Resource, Condition } of sends) {
      const resources = asList(Resource).map(joined);
      if (Condition === undefined) for (const resource of resources) expect(ours).toContain(resource);
      else {
        expect(resources).toEqual(['arn:aws:ec2:eu-central-1:111122223333:instance/*']);
        expect(Condition).toEqual({ StringEquals: { 'ssm:resourceTag/runctl': 'enabled' } });
      }
    }
    expect(JSON.stringify(aws.template.toJSON())).not.toContain('AWS-RunShellScript');
  });
});

describe('what people may do', () => {
  const policy = (name: string) => {
    const found = aws
      .of('AWS::IAM::ManagedPolicy')
      .find(({ Properties }) => joined(Properties.ManagedPolicyName) === name);
    return (found?.Properties.PolicyDocument as { Statement: Statement[] } | undefined)?.Statement ?? [];
  };
  const actions = (name: string) => policy(`runctl-${name}-eu-central-1`).flatMap(({ Action }) => asList(Action));

  it('upload: put objects under uploads/, archives/ and patches/ alone', () => {
    expect(actions('upload').sort()).toEqual([
      'cloudformation:DescribeStacks',
      's3:AbortMultipartUpload',
      's3:PutObject',
      's3:PutObjectTagging',
    ]);
    const puts = policy('runctl-upload-eu-central-1').find(({ Action }) => asList(Action).includes('s3:PutObject'));
    expect(asList(puts?.Resource).map(joined)).toEqual([
      expect.stringMatching(/^Uploads\w+\.Arn\/uploads\/\*$/),
      expect.stringMatching(/^Uploads\w+\.Arn\/archives\/\*$/),
      expect.stringMatching(/^Uploads\w+\.Arn\/patches\/\*$/),
    ]);
  });

  it('watch: start and read, but stop nothing', () => {
    expect(actions('watch')).toEqual(
      expect.arrayContaining(['states:StartExecution', 's3:GetObject', 'logs:GetLogEvents']),
    );
    for (const action of actions('watch')) expect(action).not.toMatch(/Stop|Delete|SendCommand|PassRole|Schedule$/);
  });

  it('operator: asks instances by the document that changes nothing there', () => {
    const sends = policy('runctl-operator-eu-central-1').filter(({ Action }) =>
      asList(Action).includes('ssm:SendCommand'),
    );
    const documents = sends
      .filter(({ Condition }) => Condition === undefined)
      .flatMap(({ Resource }) => asList(Resource));
    expect(documents.map(joined)).toEqual(['arn:aws:ssm:eu-central-1:111122223333:document/runctl-look']);
  });

  it('operator: more than watch, and may give its role to EventBridge Scheduler alone', () => {
    expect(actions('operator')).toEqual(expect.arrayContaining(actions('watch')));
    const pass = policy('runctl-operator-eu-central-1').find(({ Action }) => asList(Action).includes('iam:PassRole'));
    expect(pass).toMatchObject({
      Resource: { 'Fn::GetAtt': [expect.stringContaining('SchedulesRole'), 'Arn'] },
      Condition: { StringEquals: { 'iam:PassedToService': 'scheduler.amazonaws.com' } },
    });
  });

  it('is attached to nobody', () => {
    for (const { Properties } of aws.of('AWS::IAM::ManagedPolicy'))
      for (const key of ['Users', 'Groups', 'Roles']) expect(Properties[key]).toBeUndefined();
  });
});

describe('the dashboard and the alarms', () => {
  it('alarms of failed runs, dead letters, silence and checkpoints, over the topic; missing data is not an alarm', () => {
    const alarms = aws.of('AWS::CloudWatch::Alarm').map(({ Properties }) => Properties);
    expect(alarms).toMatchObject([
      { AlarmName: 'runctl-failed-run', Namespace: 'runctl', MetricName: 'FailedRuns', Statistic: 'Sum', Threshold: 1 },
      { AlarmName: 'runctl-dead-letter', Namespace: 'AWS/SQS', Statistic: 'Maximum', Threshold: 1 },
      { AlarmName: 'runctl-summary-dead-letter', Namespace: 'AWS/SQS', Statistic: 'Maximum', Threshold: 1 },
      { AlarmName: 'runctl-silent-run', Namespace: 'runctl', MetricName: 'SilentSeconds', Threshold: 3_600 },
      { AlarmName: 'runctl-checkpoints-behind', Namespace: 'runctl', MetricName: 'CheckpointLagSeconds', Threshold: 1 },
    ]);
    for (const alarm of alarms) {
      expect(alarm).toMatchObject({
        ComparisonOperator: 'GreaterThanOrEqualToThreshold',
        TreatMissingData: 'notBreaching',
        AlarmActions: [{ Ref: expect.stringContaining('Notifications') }],
      });
    }
  });

  it('has a name of its own in each region: dashboards belong to the account', () => {
    const [dashboard] = aws.of('AWS::CloudWatch::Dashboard');
    expect(joined(dashboard?.Properties.DashboardName)).toBe('runctl-eu-central-1');
  });

  it('shows every metric that is written', () => {
    const [dashboard] = aws.of('AWS::CloudWatch::Dashboard');
    const body = JSON.stringify(dashboard?.Properties.DashboardBody);
    for (const metric of Object.values(METRICS))
      if (metric !== METRICS.failed) expect(body, metric).toContain(`\\"${metric}\\"`);
    expect(body).toContain('Alarmfailedrun');
  });
});

describe('the documents', () => {
  const names = [...DOCUMENTS].sort();

  it('are resources on AWS', () => {
    expect(
      aws
        .of('AWS::SSM::Document')
        .map(({ Properties }) => Properties.Name)
        .sort(),
    ).toEqual(names);
    for (const { Properties } of aws.of('AWS::SSM::Document')) {
      expect(Properties).toMatchObject({
        DocumentType: 'Command',
        UpdateMethod: 'NewVersion',
        TargetType: '/AWS::EC2::Instance',
      });
    }
  });

  it('exist in their new version before the functions that name it', () => {
    const ids = Object.entries(aws.resources)
      .filter(([, { Type }]) => Type === 'AWS::SSM::Document')
      .map(([id]) => id);
    const verify = Object.values(aws.resources).find(
      ({ Properties }) => Properties?.FunctionName === 'runctl-verify-archive',
    );
    expect((verify as { DependsOn?: string[] } | undefined)?.DependsOn).toEqual(expect.arrayContaining(ids));
  });

  it('are metadata with the same content where CloudFormation lacks the type; nothing else differs', () => {
    expect(local.of('AWS::SSM::Document')).toEqual([]);
    const { runctlDocuments } = local.template.toJSON().Metadata as { runctlDocuments: Record<string, unknown> };
    expect(Object.keys(runctlDocuments).sort()).toEqual(names);
    for (const { Properties } of aws.of('AWS::SSM::Document')) {
      expect(runctlDocuments[String(Properties.Name)]).toEqual(Properties.Content);
    }
    const others = ({ resources }: typeof aws) =>
      Object.entries(resources)
        .filter(([, { Type }]) => Type !== 'AWS::SSM::Document')
        .map(([id]) => id);
    const fromContext = /^Schedules(nightly|often)|mlexampleorg/;
    expect(others(local).sort()).toEqual(
      others(aws)
        .filter((id) => !fromContext.test(id))
        .sort(),
    );
  });
});
