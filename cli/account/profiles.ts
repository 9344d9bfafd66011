import { distance } from 'fastest-levenshtein';
import { usageError } from '../errors.ts';

const SHOWN = 20;

/**
 * Refuses a profile that neither of the AWS files has: the SDK would say that there are no credentials.
 * @param name from --profile; undefined: the one of AWS_PROFILE
 * @throws CliError with the profiles that exist
 */
export async function requireProfile(name: string | undefined, env: NodeJS.ProcessEnv = process.env): Promise<void> {
  const wanted = name ?? env.AWS_PROFILE;
  if (!wanted) return;
  const { loadSharedConfigFiles } = await import('@smithy/core/config');
  const { configFile, credentialsFile } = await loadSharedConfigFiles({ ignoreCache: true });
  const known = new Set([...Object.keys(configFile), ...Object.keys(credentialsFile)].filter(isProfile));
  if (known.has(wanted)) return;
  const nearest = [...known].sort((a, b) => distance(a, wanted) - distance(b, wanted)).slice(0, SHOWN);
  const from = name === undefined ? ' (from AWS_PROFILE)' : '';
  throw usageError(
    `The AWS profile ${wanted}${from} does not exist.`,
    nearest.length === 0
      ? 'There are no profiles. To make one: aws configure'
      : `Profiles that exist: ${nearest.join(', ')}. To make one: aws configure --profile ${wanted}`,
  );
}

/** The files have other sections too: `sso-session name`, `services name`. */
function isProfile(section: string): boolean {
  return !/^(sso-session|services)[\s.]/.test(section);
}
