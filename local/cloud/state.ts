import { readFile, rename, writeFile } from 'node:fs/promises';
import * as z from 'zod';
import { LocalError } from './errors.ts';
import type { StatePaths } from './paths.ts';

const processRef = z.object({
  pid: z.number().int(),
  /** Field 22 of /proc/<pid>/stat. The pid alone may belong to another process by now. */
  startTime: z.string(),
});
export type ProcessRef = z.infer<typeof processRef>;

const localState = z.object({
  /** Addresses, as in the variables AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_SSM. */
  endpoint: z.string(),
  ssmEndpoint: z.string(),
  /** The key that requests to its services are signed with. */
  credentials: z.object({ accessKeyId: z.string(), secretAccessKey: z.string() }),
  region: z.string(),
  ministack: processRef,
  agent: processRef.nullable(),
  agentCommand: z.string().nullable(),
  instanceId: z.string().nullable(),
  /** Of the last deployment: a hash of its sources, and the stack's outputs. */
  deployed: z.object({ sources: z.string(), at: z.string(), outputs: z.record(z.string(), z.string()) }).nullable(),
});
/** The state of a local cloud; written as soon as a process of it runs. */
export type LocalState = z.infer<typeof localState>;

/** The state on disk; undefined if no cloud was started. @throws LocalError if the file is not valid */
export async function readState(paths: StatePaths): Promise<LocalState | undefined> {
  let text: string;
  try {
    text = await readFile(paths.stateFile, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return localState.parse(JSON.parse(text));
  } catch (error) {
    throw new LocalError(
      `${paths.stateFile} was written by another version of runctl.`,
      'Run `runctl local down`, then `runctl local up`.',
      {
        cause: error,
      },
    );
  }
}

export async function writeState(paths: StatePaths, state: LocalState): Promise<void> {
  await writeFile(`${paths.stateFile}.new`, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 });
  await rename(`${paths.stateFile}.new`, paths.stateFile);
}
