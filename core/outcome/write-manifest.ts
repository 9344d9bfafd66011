import { heldSeconds } from '../cost/instance-cost.ts';
import { MANIFEST, runFileKey } from '../names.ts';
import type { CleanUpProgress, FinishInput, RunFacts, RunOutcome } from '../workflow/data.ts';
import { type StateEvent, stateTimes } from '../workflow/history.ts';
import { decideOutcome, type Interruption } from './decide-outcome.ts';
import { buildManifest, INVENTORY } from './manifest.ts';
import { type Inventory, inventorySchema, type Manifest } from './manifest-schema.ts';

/** What a run stores in the bucket. */
export interface RunFiles {
  readonly bucket: string;
  /** A URL that takes one PUT to `key`. */
  presignPut(key: string): Promise<string>;
  read(key: string): Promise<Uint8Array>;
  exists(key: string): Promise<boolean>;
  /** @returns false, with `onlyFirst`, when there is an object of this key already */
  write(key: string, text: string, options: { onlyFirst: boolean }): Promise<boolean>;
}

export interface ManifestPorts {
  readonly files: RunFiles;
  /** The states of an execution, oldest first, without their outputs. */
  readonly history: (arn: string) => Promise<StateEvent[]>;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

export interface ManifestInput {
  readonly execution: FinishInput['execution'];
  readonly input: unknown;
  readonly facts: RunFacts;
  readonly progress: CleanUpProgress | null;
  readonly interrupted: Interruption;
}

/** Decides how the run ended and writes its manifest. A manifest that cannot be written is a warning: the outcome stays. */
export async function writeManifest(ports: ManifestPorts, conclusion: ManifestInput): Promise<RunOutcome> {
  const { execution, progress, interrupted } = conclusion;
  const warnings: string[] = [...conclusion.facts.warnings, ...(progress?.warnings ?? [])];
  const attempt = async <T>(what: string, work: () => Promise<T>, fallback: T): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      warnings.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
      return fallback;
    }
  };
  const inventory = await attempt(
    'The list of outputs could not be read',
    () => readInventory(ports, conclusion),
    null,
  );
  const history = await attempt('The times of the states could not be read', () => ports.history(execution.arn), []);
  const now = ports.now();
  const decide = () => decideOutcome({ ...conclusion.facts, warnings }, interrupted, execution.name);
  const manifest = buildManifest({
    ...conclusion,
    outcome: decide(),
    inventory,
    states: stateTimes(history, now),
    held: heldSeconds(history, now),
    now,
  });
  await attempt('The manifest could not be written', () => storeManifest(ports.files, manifest), undefined);
  return decide();
}

async function readInventory(
  { files }: ManifestPorts,
  { execution, progress }: ManifestInput,
): Promise<Inventory | null> {
  if (!progress?.uploaded.includes(INVENTORY)) return null;
  const bytes = await files.read(runFileKey(execution.name, INVENTORY));
  return inventorySchema.parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
}

/** The first manifest of an execution stays. A name comes back after 90 days: then it is another execution's. */
async function storeManifest(files: RunFiles, manifest: Manifest): Promise<void> {
  const key = runFileKey(manifest.run.id, MANIFEST);
  const text = `${JSON.stringify(manifest, null, 2)}\n`;
  if (await files.write(key, text, { onlyFirst: true })) return;
  if (!(await isManifestOf(files, manifest.run))) await files.write(key, text, { onlyFirst: false });
}

/** Whether the stored manifest is of this execution. */
export async function isManifestOf(files: RunFiles, run: { id: string; startedAt: string }): Promise<boolean> {
  const there: unknown = JSON.parse(Buffer.from(await files.read(runFileKey(run.id, MANIFEST))).toString('utf8'));
  const startedAt = (there as { run?: { startedAt?: string } } | null)?.run?.startedAt;
  return startedAt !== undefined && Date.parse(startedAt) === Date.parse(run.startedAt);
}
