import type { PROTOCOL } from './messages.ts';

/** Asked of the installer, by the document `prepare-install`: `runner` is that program. */
export interface ProbeRequest {
  readonly protocol: typeof PROTOCOL;
  readonly verb: 'probe';
  readonly runner: string;
  readonly root: string;
  readonly home: string | null;
  readonly user: string | null;
  readonly python: string | null;
  /** References of the run spec, by the name of the variable. */
  readonly secrets: Readonly<Record<string, string>>;
}

export interface Disk {
  readonly path: string;
  /** For an ordinary user. */
  readonly free: number;
  readonly bytes: number;
}

/** What an install and a training would find on the instance. */
export interface ProbeAnswer {
  readonly user: string;
  readonly home: string;
  readonly disk: { readonly home: Disk; readonly root: Disk };
  readonly python:
    | {
        readonly path: string;
        readonly reason: string;
        readonly version: string;
        readonly pip: boolean;
        readonly error: null;
      }
    | { readonly error: string };
  readonly uv: { readonly path: string; readonly version: string | null; readonly error: string | null } | null;
  /** `devices`: NVIDIA GPUs on the PCI bus; `names`: of those that the driver shows. */
  readonly gpu: { readonly devices: number; readonly names: readonly string[]; readonly error: string | null };
  /** What is wrong with each of the secrets and what to do, by the name of the variable; null: it can be read. */
  readonly secrets: Readonly<Record<string, { readonly error: string; readonly next: string } | null>>;
}
