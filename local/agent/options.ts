import { z } from 'zod';

/** The one argument of this program, as JSON. */
export const agentOptions = z.strictObject({
  port: z.number().int(),
  /** The emulator's address. */
  upstream: z.string(),
  region: z.string(),
  /** Where documents, scripts and orchestration folders lie. */
  folder: z.string(),
  /** A program that runs the commands instead of the imitation. */
  agentCommand: z.string().optional(),
});
export type AgentOptions = z.infer<typeof agentOptions>;
