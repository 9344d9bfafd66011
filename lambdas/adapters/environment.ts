import { ENV } from '../../core/names.ts';

/** Reads one of the variables that lib/ sets on every function that needs it. */
export function requireEnv(name: keyof typeof ENV): string {
  const value = process.env[ENV[name]];
  if (value === undefined || value === '')
    throw new Error(`the environment variable ${ENV[name]} is missing: deploy the stack again`);
  return value;
}
