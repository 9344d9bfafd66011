import { join } from 'node:path';
import { type CloudAccess, region } from './credentials.ts';
import type { StatePaths } from './paths.ts';

/** Every process of a local cloud has this variable, so that `down` finds all of them, orphans included. */
export const markName = 'RUNCTL_LOCAL_CLOUD';

// The person's own AWS settings and proxies are left out: all requests must go to loopback, none to an account.
const foreign = /^(AWS_|CDK_|MINISTACK_|npm_|NODE_OPTIONS$|(https?|all|no)_proxy$)/i;

/** The variables that connect an AWS client to the local cloud; `local env` prints them. */
export function clientVariables({ endpoint, ssmEndpoint, credentials }: CloudAccess): Record<string, string> {
  return {
    AWS_ENDPOINT_URL: endpoint,
    AWS_ENDPOINT_URL_SSM: ssmEndpoint,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    AWS_REGION: region,
    AWS_DEFAULT_REGION: region,
  };
}

/** Variables that would connect a client to another address; `local env` unsets them. */
export const misleadingVariables = ['AWS_PROFILE', 'AWS_SESSION_TOKEN'];

/** The environment of a process of the local cloud: the person's own, without their AWS settings and proxies. */
export function cloudEnvironment(access: CloudAccess, paths: StatePaths): Record<string, string> {
  const kept = Object.entries(process.env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && !foreign.test(entry[0]),
  );
  return {
    ...Object.fromEntries(kept),
    ...clientVariables(access),
    AWS_CONFIG_FILE: join(paths.local, 'no-aws-config'),
    AWS_SHARED_CREDENTIALS_FILE: join(paths.local, 'no-aws-credentials'),
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
    TMPDIR: join(paths.local, 'tmp'),
    [markName]: paths.local,
  };
}
