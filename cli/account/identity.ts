import { GetCallerIdentityCommand, type STSClient } from '@aws-sdk/client-sts';

/** The longest wait for a name that only a list shows, in ms. */
const WITHIN_MS = 3_000;

/**
 * The name of the person or the pipeline whose credentials are used: the user's, or that of the session of a role. null when AWS does not
 * say: a run does not depend on it.
 */
export async function callerName(sts: Pick<STSClient, 'send'>): Promise<string | null> {
  try {
    const abortSignal = AbortSignal.timeout(WITHIN_MS);
    const { Arn = '' } = await sts.send(new GetCallerIdentityCommand({}), { abortSignal });
    return nameIn(Arn);
  } catch {
    return null;
  }
}

/** `arn:aws:sts::123456789012:assumed-role/Developer/anna` → `anna` */
function nameIn(arn: string): string | null {
  const [, , , , , ...resource] = arn.split(':');
  return resource.join(':').split('/').at(-1) || null;
}
