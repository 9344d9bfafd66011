import type { CustomMetrics } from '../metrics/custom.ts';
import { type LatestMetrics, NO_METRICS, updateLatest } from '../metrics/latest.ts';
import type { JobInput, JobSnapshot } from '../workflow/data.ts';
import type { JobPorts } from './job-status.ts';

/** How long a visit of a state may read metrics, ms: its log is in CloudWatch by then, and the next visit waits for it. */
const METRICS_MS = 150;

/**
 * Keeps the latest values of the training's metrics in the snapshot, read from the log that the visit has sent.
 * @param visit sends log through the ports that it is given
 * @param onUnread the metrics of that log were not read; the values before stay
 */
export async function withLatestMetrics(
  ports: JobPorts,
  input: JobInput,
  visit: (ports: JobPorts) => Promise<JobSnapshot>,
  onUnread: (error: Error) => void,
): Promise<JobSnapshot> {
  const sent: string[] = [];
  let isContinued = false;
  const logs: JobPorts['logs'] = {
    put: async (stream, messages, time) => {
      await ports.logs.put(stream, messages, time);
      for (const message of messages) sent.push(message);
    },
    after: async (stream, time) => {
      const found = await ports.logs.after(stream, time);
      isContinued ||= found.bytes > 0;
      return found;
    },
  };
  const snapshot = await visit({ ...ports, logs });
  return { ...snapshot, metrics: await latestOf(input, { sent, isContinued }, ports.now, onUnread) };
}

async function latestOf(
  { spec, step }: JobInput,
  // `isContinued`: an attempt before this one has sent log, perhaps the beginning of a line.
  { sent, isContinued }: { readonly sent: readonly string[]; readonly isContinued: boolean },
  now: () => number,
  onUnread: (error: Error) => void,
): Promise<LatestMetrics> {
  const before = step?.metrics ?? { ...NO_METRICS, isMidLine: (step?.cursor.offset ?? 0) > 0 };
  const end = now() + METRICS_MS;
  try {
    const custom = await compiled(spec);
    return updateLatest(isContinued ? { ...before, isMidLine: true } : before, sent, () => now() > end, custom);
  } catch (error) {
    onUnread(error as Error);
    return before;
  }
}

/** Of the run that was visited last: to compile forty expressions takes longer than to read what a poll brings. */
let last: { readonly text: string; readonly custom: CustomMetrics | null } = { text: '', custom: null };

/** A run that began before this version has no `metrics`. The engine, 150 KB, is evaluated only for a run that has some. */
async function compiled(spec: Partial<JobInput['spec']>): Promise<CustomMetrics | null> {
  if (!spec.metrics?.length) return null;
  const text = JSON.stringify(spec.metrics);
  if (text !== last.text) {
    const { metricsOfSpec } = await import('../metrics/custom.ts');
    last = { text, custom: metricsOfSpec(spec) };
  }
  return last.custom;
}
