/** Files of a run beside its manifest, by what they are. The instance sends those that are read here. */
export const LOG_FILE = 'train.log.gz';
/** Of further attempts, as a policy names them. */
export const LATER_LOG_FILES = 'train-*.log.gz';
export const USAGE_FILE = 'usage.jsonl.gz';
export const FILE_POINTS = 'metric-points.jsonl.gz';

/** What summarize-run writes, the summary last: with it the others are complete. */
export const METRICS_FILE = 'metrics.jsonl.gz';
export const REPORT_FILE = 'report.html';
export const SUMMARY_FILE = 'summary.json';

/** Opens a file of a run. null: it has none of that name */
export type OpenFile = (name: string) => Promise<AsyncIterable<Uint8Array> | null>;
