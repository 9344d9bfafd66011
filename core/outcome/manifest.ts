import { costOfRun, type HeldSeconds } from '../cost/instance-cost.ts';
import { installedEnvironment } from '../environments/manifest.ts';
import { JOBS, readLogName, runFileKey } from '../names.ts';
import { maskSpec } from '../spec/mask.ts';
import type { CleanUpProgress, JobSnapshot, RunFacts, RunOutcome } from '../workflow/data.ts';
import type { StateTime } from '../workflow/history.ts';
import { estimateCost } from './cost.ts';
import { endedAttempt } from './ended-attempt.ts';
import type { Inventory, Manifest } from './manifest-schema.ts';

const FILES_SHOWN = 5_000;
const LEFT_OUT_SHOWN = 100;
export const OUTPUTS_ARCHIVE = 'outputs.tar.gz';
export const INVENTORY = 'inventory.json';

export interface ManifestParts {
  readonly execution: { readonly name: string; readonly arn: string; readonly startedAt: string };
  /** The execution's input; shown when the spec was refused. */
  readonly input: unknown;
  readonly facts: RunFacts;
  readonly outcome: RunOutcome;
  readonly progress: CleanUpProgress | null;
  readonly inventory: Inventory | null;
  readonly states: readonly StateTime[];
  /** For which the run has used its instances; null, or left out: not known. */
  readonly held?: HeldSeconds | null;
  /** Epoch ms. */
  readonly now: number;
}

/** What remains of a run, however it ended. */
export function buildManifest(parts: ManifestParts): Manifest {
  const { execution, facts, outcome, progress, inventory, states, held = null, now } = parts;
  const { archive, instance } = facts;
  const steps = JOBS.map((job) => facts[job] ?? null);
  const sum = (key: 'polls' | 'pollFailures') => steps.reduce((total, step) => total + (step?.[key] ?? 0), 0);
  const polls = sum('polls');
  return {
    version: 1,
    run: {
      id: execution.name,
      arn: execution.arn,
      startedAt: new Date(execution.startedAt).toISOString(),
      endedAt: new Date(now).toISOString(),
      seconds: Math.max(0, now - Date.parse(execution.startedAt)) / 1_000,
    },
    outcome: outcome.outcome,
    error: outcome.error,
    message: outcome.message,
    next: outcome.next,
    exitCode: outcome.exitCode,
    signal: outcome.signal,
    pid: outcome.pid,
    lastLines: [...outcome.lastLines],
    warnings: [...outcome.warnings],
    spec: asRecord(maskSpec(facts.spec ?? parts.input)),
    archive: archive && {
      bucket: archive.bucket,
      key: archive.key,
      versionId: archive.versionId,
      sha256: archive.sha256,
      bytes: archive.bytes,
      files: archive.files,
      gitCommit: archive.gitCommit,
      gitDirty: archive.gitDirty,
      patchBytes: archive.patchBytes ?? null,
      sent: archive.sent ?? null,
    },
    instance: instance && {
      id: instance.id,
      type: instance.type,
      image: instance.image,
      platform: instance.platform,
    },
    program: facts.run && {
      sha256: facts.run.program.sha256,
      documentVersion: facts.run.program.documentVersion,
    },
    python: inventory?.python ?? null,
    packages: inventory?.packages ?? {},
    environment: environmentPart(facts),
    jobs: {
      sync: jobPart(facts.sync),
      install: jobPart(facts.install),
      restore: jobPart(facts.restore ?? null),
      train: jobPart(facts.train),
    },
    attempts: attemptsPart(facts, outcome, { now, heldSeconds: held?.last ?? null }),
    checkpoints: checkpointsPart(facts.train),
    states: [...states],
    polls,
    pollFailures: sum('pollFailures'),
    logBytes: steps.reduce((total, step) => total + (step?.cursor.offset ?? 0), 0),
    metrics: (facts.train?.metrics?.values ?? []).map(toMetric),
    outputs: outputsPart(execution.name, progress, inventory),
    logs: logsPart(execution.name, progress),
    cost: {
      usd: Number(
        estimateCost({ states: states.reduce((total, state) => total + state.entered, 0), polls }).toFixed(6),
      ),
      note: 'Estimate of Step Functions and Lambda at list prices of us-east-1; not of the instance, S3 or CloudWatch.',
      instance: costOfRun(facts, held),
    },
  };
}

type LatestValue = NonNullable<JobSnapshot['metrics']>['values'][number];

function toMetric({ name, step, value, gap }: LatestValue): Manifest['metrics'][number] {
  return { name, step, value, gap: gap ?? null };
}

function jobPart(step: JobSnapshot | null): Manifest['jobs']['train'] {
  if (step === null) return null;
  const { exit } = step;
  return {
    state: step.state,
    exitCode: exit?.code ?? null,
    signal: exit?.signal ?? null,
    outOfMemory: exit?.outOfMemory ?? false,
    maxRssBytes: exit?.maxRssBytes ?? null,
    pid: step.pid,
    endedAt: exit ? new Date(exit.endedAt * 1_000).toISOString() : null,
    polls: step.polls,
    pollFailures: step.pollFailures,
    logBytes: step.cursor.offset,
    result: step.result,
  };
}

function outputsPart(
  runId: string,
  progress: CleanUpProgress | null,
  inventory: Inventory | null,
): Manifest['outputs'] {
  const packed = uploaded(progress).find(({ name }) => name === OUTPUTS_ARCHIVE);
  const files = inventory?.outputs ?? [];
  const leftOut = inventory?.leftOut ?? [];
  return {
    archive: packed ? { key: runFileKey(runId, packed.name), bytes: packed.bytes, sha256: packed.sha256 } : null,
    count: files.length,
    files: files.slice(0, FILES_SHOWN),
    leftOut: {
      count: leftOut.length,
      bytes: leftOut.reduce((sum, { bytes }) => sum + bytes, 0),
      files: leftOut.slice(0, LEFT_OUT_SHOWN),
    },
    others: inventory?.others ?? [],
  };
}

function logsPart(runId: string, progress: CleanUpProgress | null): Manifest['logs'] {
  const logs = uploaded(progress).flatMap((file) => {
    const log = readLogName(file.name);
    return log ? [{ ...log, key: runFileKey(runId, file.name), bytes: file.bytes, sha256: file.sha256 }] : [];
  });
  return logs.sort((a, b) => a.attempt - b.attempt || JOBS.indexOf(a.job) - JOBS.indexOf(b.job));
}

/** The attempts before, and the one that the run ended with. */
function attemptsPart(
  facts: RunFacts,
  outcome: RunOutcome,
  at: Parameters<typeof endedAttempt>[2],
): Manifest['attempts'] {
  const { run, instance, train, attempts = [] } = facts;
  const last = run && instance ? [endedAttempt({ run, instance, train }, outcome, at)] : [];
  return [...attempts, ...last].map((one) => ({ ...one, usd: one.usd ?? null }));
}

function environmentPart({ install, train }: RunFacts): Manifest['environment'] {
  const installed = installedEnvironment(install?.result);
  if (installed === null) return null;
  const { key, sha256, restored } = installed;
  return { key, sha256: sha256 ?? train?.environment?.sha256 ?? null, restored };
}

function checkpointsPart(train: JobSnapshot | null): Manifest['checkpoints'] {
  const known = train?.checkpoints;
  if (!known) return null;
  const { lineage, latest } = known;
  return {
    lineage,
    latest: latest && { seq: latest.seq, name: latest.name, bytes: latest.bytes, committedAt: latest.committedAt },
  };
}

function uploaded(progress: CleanUpProgress | null) {
  return (progress?.files ?? []).filter(({ name }) => progress?.uploaded.includes(name));
}

function asRecord(value: unknown): Record<string, unknown> | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : null;
}
