import * as z from 'zod/mini';
import type { PROTOCOL } from './messages.ts';

/** Asks what an install and a training would find. It is about the instance, not about a run. */
export interface ProbeRequest {
  readonly protocol: typeof PROTOCOL;
  readonly verb: 'probe';
  readonly root: string;
  readonly home: string | null;
  readonly user: string | null;
  readonly python: string | null;
  /** References of the run spec, by the name of the variable. */
  readonly secrets: Readonly<Record<string, string>>;
  /** The program of the run spec's command, to search as a training would; left out: none. */
  readonly command?: string;
}

const disk = z.object({
  path: z.string(),
  /** For an ordinary user. */
  free: z.number(),
  bytes: z.number(),
});
export type Disk = Readonly<z.infer<typeof disk>>;

const text = z.nullable(z.string());

/** What an install and a training would find on the instance. */
export const probeAnswer = z.object({
  user: z.string(),
  /** Groups of the jobs' user that let it become root. */
  administratorGroups: z.optional(z.array(z.string())),
  /** Why jobs cannot be kept from the instance metadata service; null: they are. */
  metadata: z.optional(z.nullable(z.string())),
  home: z.string(),
  disk: z.object({ home: disk, root: disk }),
  python: z.union([
    z.object({ path: z.string(), reason: z.string(), version: z.string(), pip: z.boolean(), error: z.null() }),
    z.object({ error: z.string() }),
  ]),
  /** The image of runctl that the instance was started from, and how far it was scrubbed; null, or left out: it was not. */
  image: z.optional(z.nullable(z.object({ key: z.string(), state: z.string() }))),
  uv: z.nullable(z.object({ path: z.string(), version: text, error: text })),
  /** `devices`: NVIDIA GPUs on the PCI bus; `names`: of those that the driver shows. */
  gpu: z.object({ devices: z.int(), names: z.array(z.string()), error: text }),
  /** Where the requested program is; null: none was requested. */
  command: z.optional(z.nullable(z.object({ path: text, error: text }))),
  /** What is wrong with each of the secrets and what to do, by the name of the variable; null: it can be read. */
  secrets: z.optional(z.record(z.string(), z.nullable(z.object({ error: z.string(), next: z.string() })))),
});
export type ProbeAnswer = z.infer<typeof probeAnswer>;
