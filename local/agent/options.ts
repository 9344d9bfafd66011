import * as z from 'zod';
import type { CloudCredentials } from '../cloud/credentials.ts';

/** The one argument of this program, as JSON. */
export const agentOptions = z.strictObject({
  port: z.number().int(),
  /** The emulator's address. */
  upstream: z.string(),
  region: z.string(),
  /** The folder for documents, scripts and orchestration folders. */
  folder: z.string(),
  /** A program that executes the commands in place of the built-in agent. */
  agentCommand: z.string().optional(),
});
export type AgentOptions = z.infer<typeof agentOptions>;

const environment = z.object({ AWS_ACCESS_KEY_ID: z.string(), AWS_SECRET_ACCESS_KEY: z.string() });

/** The cloud's key. It is not an option: any user can read the arguments of a process. */
export function credentialsFrom(env: NodeJS.ProcessEnv): CloudCredentials {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = environment.parse(env);
  return { accessKeyId, secretAccessKey };
}
