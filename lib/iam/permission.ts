import { Effect, PolicyDocument, PolicyStatement } from 'aws-cdk-lib/aws-iam';

export interface Permission {
  readonly actions: readonly string[];
  readonly resources: readonly string[];
  readonly conditions?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

export function toPolicy(permissions: readonly Permission[]): PolicyDocument {
  return new PolicyDocument({ statements: permissions.map(toStatement) });
}

export function toStatement({ actions, resources, conditions }: Permission): PolicyStatement {
  return new PolicyStatement({
    effect: Effect.ALLOW,
    actions: [...actions],
    resources: [...resources],
    ...(conditions ? { conditions } : {}),
  });
}
