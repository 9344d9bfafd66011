import { asList, joined, PSEUDO, type Synthesized } from './synth.ts';

/** What one call of an API asks IAM. */
export interface IamRequest {
  /** As in a policy: `s3:GetObject`. */
  readonly action: string;
  /** The ARN; `*` for an action without resource-level permissions. */
  readonly resource: string;
  /** Values of condition keys. */
  readonly context?: Readonly<Record<string, string>>;
}

export interface Statement {
  readonly Effect: 'Allow' | 'Deny';
  readonly Action: string | string[];
  readonly Resource: unknown;
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string | string[]>>>>;
}

/**
 * Evaluates an identity-based policy as IAM does (IAM User Guide, "Policy evaluation logic"): an explicit Deny wins, then an Allow; without one
 * the request is denied. Knows the elements that the stack's policies use, and throws for any other.
 */
export function isAllowed(statements: readonly Statement[], request: IamRequest): boolean {
  const matching = statements.filter((statement) => matches(statement, request));
  return matching.length > 0 && matching.every(({ Effect }) => Effect === 'Allow');
}

const KNOWN = ['Sid', 'Effect', 'Action', 'Resource', 'Condition'];

function matches(statement: Statement, { action, resource, context = {} }: IamRequest): boolean {
  const unknown = Object.keys(statement).filter((key) => !KNOWN.includes(key));
  if (unknown.length > 0) throw new Error(`the policy evaluator does not know ${unknown.join(', ')}`);
  // Actions are case-insensitive, ARNs are not.
  const hasAction = asList(statement.Action).some((one) => wildcard(one.toLowerCase()).test(action.toLowerCase()));
  const hasResource = asList(statement.Resource as string | string[]).some((one) => wildcard(one).test(resource));
  return hasAction && hasResource && Object.entries(statement.Condition ?? {}).every(holds);

  function holds([operator, keys]: [string, Readonly<Record<string, string | string[]>>]): boolean {
    const test = OPERATORS[operator];
    if (!test) throw new Error(`the policy evaluator does not know the condition operator ${operator}`);
    return Object.entries(keys).every(([key, wanted]) => {
      const value = context[key];
      return value !== undefined && asList(wanted).some((one) => test(value, one));
    });
  }
}

const OPERATORS: Readonly<Record<string, (value: string, wanted: string) => boolean>> = {
  StringEquals: (value, wanted) => value === wanted,
  StringLike: (value, wanted) => wildcard(wanted).test(value),
  ArnLike: (value, wanted) => wildcard(wanted).test(value),
  // Of one value.
  'ForAllValues:StringEquals': (value, wanted) => value === wanted,
};

function wildcard(pattern: string): RegExp {
  const escaped = pattern.replace(/[\\^$.|+()[\]{}]/g, '\\$&');
  return new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`, 's');
}

const ACCOUNT = PSEUDO['AWS::AccountId'] ?? '';
const REGION = PSEUDO['AWS::Region'] ?? '';

/** An ARN in the stack's account and region. */
export function arn(service: string, rest: string): string {
  return `arn:aws:${service}:${REGION}:${ACCOUNT}:${rest}`;
}

/** The ARN that CloudFormation would give a resource. */
function arnOf({ resources }: Synthesized, id: string): string {
  const resource = resources[id];
  const { Properties = {}, Type = 'no resource' } = resource ?? {};
  const name = (key: string) => (Properties[key] === undefined ? id : joined(Properties[key]));
  switch (Type) {
    case 'AWS::S3::Bucket':
      return `arn:aws:s3:::${id.toLowerCase()}`;
    case 'AWS::Lambda::Function':
      return arn('lambda', `function:${name('FunctionName')}`);
    case 'AWS::Logs::LogGroup':
      return arn('logs', `log-group:${name('LogGroupName')}:*`);
    case 'AWS::SQS::Queue':
      return arn('sqs', name('QueueName'));
    case 'AWS::SNS::Topic':
      return arn('sns', name('TopicName'));
    case 'AWS::StepFunctions::StateMachine':
      return arn('states', `stateMachine:${name('StateMachineName')}`);
    case 'AWS::IAM::Role':
      return `arn:aws:iam::${ACCOUNT}:role/${name('RoleName')}`;
    default:
      throw new Error(`the ARN of ${id}, ${Type}, is not known`);
  }
}

function resolved(aws: Synthesized, value: unknown): string {
  if (typeof value === 'string') return value;
  const { 'Fn::Join': join, 'Fn::GetAtt': attribute, Ref } = value as Record<string, unknown>;
  if (Array.isArray(join)) return (join[1] as unknown[]).map((part) => resolved(aws, part)).join(join[0] as string);
  if (Array.isArray(attribute) && attribute[1] === 'Arn') return arnOf(aws, String(attribute[0]));
  if (typeof Ref === 'string' && !(Ref in PSEUDO)) return arnOf(aws, Ref);
  return joined(value);
}

function statementsIn(aws: Synthesized, documents: readonly unknown[]): Statement[] {
  return documents.flatMap((document) =>
    (document as { Statement: Statement[] }).Statement.map((statement) => ({
      ...statement,
      Resource: asList(statement.Resource).map((resource) => resolved(aws, resource)),
      ...(statement.Condition ? { Condition: resolvedConditions(aws, statement.Condition) } : {}),
    })),
  );
}

/** A condition's value may be an ARN of the stack's account. */
function resolvedConditions(aws: Synthesized, conditions: NonNullable<Statement['Condition']>) {
  const ofKeys = (keys: Readonly<Record<string, string | string[]>>) =>
    Object.entries(keys).map(([key, value]) => [key, asList(value).map((one) => resolved(aws, one))]);
  return Object.fromEntries(
    Object.entries(conditions).map(([operator, keys]) => [operator, Object.fromEntries(ofKeys(keys))]),
  );
}

/** The statements of a function's role. @param name of the file in lambdas/ */
export function roleOf(aws: Synthesized, name: string): Statement[] {
  const found = aws.of('AWS::Lambda::Function').find(({ Properties }) => Properties.FunctionName === `runctl-${name}`);
  if (!found) throw new Error(`there is no function runctl-${name}`);
  const { 'Fn::GetAtt': [role = ''] = [] } = found.Properties.Role as { 'Fn::GetAtt'?: string[] };
  const inline = asList(aws.resources[role]?.Properties.Policies as { PolicyDocument: unknown }[]);
  const attached = aws
    .of('AWS::IAM::Policy')
    .filter(({ Properties }) => JSON.stringify(Properties.Roles).includes(`"${role}"`));
  return statementsIn(aws, [
    ...inline.map(({ PolicyDocument }) => PolicyDocument),
    ...attached.map(({ Properties }) => Properties.PolicyDocument),
  ]);
}

/** The statements of a managed policy. @param name without the region */
export function managedPolicy(aws: Synthesized, name: string): Statement[] {
  const full = `${name}-${REGION}`;
  const found = aws
    .of('AWS::IAM::ManagedPolicy')
    .find(({ Properties }) => joined(Properties.ManagedPolicyName) === full);
  if (!found) throw new Error(`there is no managed policy ${full}`);
  return statementsIn(aws, [found.Properties.PolicyDocument]);
}

/** Where the stack's resources are. */
export function arnsOf(aws: Synthesized) {
  const idOf = (type: string, matching: RegExp) => {
    const found = Object.entries(aws.resources).find(([id, { Type }]) => Type === type && matching.test(id));
    if (!found) throw new Error(`there is no ${type} ${matching}`);
    return found[0];
  };
  return {
    bucket: arnOf(aws, idOf('AWS::S3::Bucket', /^Uploads/)),
    topic: arnOf(aws, idOf('AWS::SNS::Topic', /^Notifications/)),
    deadLetters: arnOf(aws, idOf('AWS::SQS::Queue', /^DeadLetters/)),
    summaryDeadLetters: arnOf(aws, idOf('AWS::SQS::Queue', /^SummaryDeadLetters/)),
    scheduleRole: arnOf(aws, idOf('AWS::IAM::Role', /^SchedulesRole/)),
    assets: `arn:aws:s3:::cdk-hnb659fds-assets-${ACCOUNT}-${REGION}`,
  };
}
