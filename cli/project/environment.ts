import { secretLookingNames, secretWarning } from '../../core/spec/secrets.ts';
import { type RunSpec, resolveSpec, type SpecInput } from '../../core/spec/spec.ts';
import type { Terminal } from '../terminal/terminal.ts';

/**
 * Warns of names in `env` that look like secrets, before anything is sent.
 * @param sources later ones win
 * @returns the references in `secrets`
 * @throws InvalidSpec when a name is in `env` of one source and in `secrets` of another
 */
export function checkEnvironment(
  terminal: Pick<Terminal, 'warn'>,
  ...sources: readonly SpecInput[]
): RunSpec['secrets'] {
  const { env, secrets } = resolveSpec(...sources);
  for (const name of secretLookingNames(env)) terminal.warn(secretWarning(name));
  return secrets;
}
