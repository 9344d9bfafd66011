import { secretLookingNames } from './spec.ts';

const MASK = '***';
/** `--api-key`, `--hf_token=…`: the names that are secrets in `env` are secrets as options as well. */
const optionName = (arg: string) => /^--?([A-Za-z][\w-]*)/.exec(arg)?.[1]?.replaceAll('-', '_') ?? null;
const isSecret = (name: string | null) => name !== null && secretLookingNames({ [name]: '' }).length > 0;

/** A spec, as a person gave it or complete, with values masked that look like secrets by their names. Anything else is left as it is. */
export function maskSpec(spec: unknown): unknown {
  if (typeof spec !== 'object' || spec === null) return spec;
  const masked: Record<string, unknown> = { ...spec };
  const { env, args } = masked;
  if (typeof env === 'object' && env !== null) {
    masked.env = Object.fromEntries(Object.entries(env).map(([name, value]) => [name, isSecret(name) ? MASK : value]));
  }
  if (Array.isArray(args)) masked.args = args.map(maskArg);
  return masked;
}

function maskArg(arg: unknown, index: number, args: readonly unknown[]): unknown {
  if (typeof arg !== 'string') return arg;
  const before = args[index - 1];
  if (typeof before === 'string' && !before.includes('=') && isSecret(optionName(before)) && !arg.startsWith('-'))
    return MASK;
  if (arg.includes('=') && isSecret(optionName(arg))) return `${arg.slice(0, arg.indexOf('='))}=${MASK}`;
  return arg;
}
