import { isSecretName, isSecretReference } from './secrets.ts';

const MASK = '***';
/** `--api-key`, `--hf_token=…`: the names that are secrets in `env` are secrets as options as well. */
const optionName = (arg: string) => /^--?([A-Za-z][\w-]*)/.exec(arg)?.[1]?.replaceAll('-', '_') ?? null;
const isSecret = (name: string | null) => name !== null && isSecretName(name);

/**
 * A spec, as a person gave it or complete, with values masked that look like secrets by their names, and what stands in
 * `secrets` and is not a reference. Anything else is left as it is.
 */
export function maskSpec(spec: unknown): unknown {
  if (typeof spec !== 'object' || spec === null) return spec;
  const masked: Record<string, unknown> = { ...spec };
  const { env, secrets, args, command } = masked;
  if (isMap(env)) masked.env = mapValues(env, (value, name) => (isSecret(name) ? MASK : value));
  if (isMap(secrets))
    masked.secrets = mapValues(secrets, (value) =>
      typeof value === 'string' && isSecretReference(value) ? value : MASK,
    );
  else if (secrets !== undefined) masked.secrets = MASK;
  if (Array.isArray(args)) masked.args = args.map(maskArg);
  const words = typeof command === 'string' ? command.split(' ') : command;
  if (Array.isArray(words)) masked.command = words.map(maskArg);
  return masked;
}

function isMap(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function mapValues(map: object, change: (value: unknown, name: string) => unknown): Record<string, unknown> {
  return Object.fromEntries(Object.entries(map).map(([name, value]) => [name, change(value, name)]));
}

function maskArg(arg: unknown, index: number, args: readonly unknown[]): unknown {
  if (typeof arg !== 'string') return arg;
  const before = args[index - 1];
  if (typeof before === 'string' && !before.includes('=') && isSecret(optionName(before)) && !arg.startsWith('-'))
    return MASK;
  if (arg.includes('=') && isSecret(optionName(arg))) return `${arg.slice(0, arg.indexOf('='))}=${MASK}`;
  return arg;
}
