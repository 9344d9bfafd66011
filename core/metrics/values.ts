import type { Value } from './point.ts';

/** A number as programs print it. No group repeats inside another, so matching a line takes time in proportion to it. */
export const NUMBER = String.raw`[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|[+-]?(?:[nN][aA][nN]|[iI]nf(?:inity)?)`;
const WHOLE_NUMBER = new RegExp(`^(?:${NUMBER})$`);
/** Most numbers. */
const PLAIN = /^-?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?$/;
/** What NumPy and PyTorch put around a number. */
const WRAPPED = /^(?:np\.|numpy\.)?(?:float\d*|int\d*|tensor|array)\((.*?)(?:,[^()]*)?\)$/;

/** null: not a number. A number beyond the range of a double counts as infinite. */
export function parseValue(text: string): Value | null {
  if (PLAIN.test(text)) return toValue(Number(text));
  const inner = WRAPPED.exec(text)?.[1] ?? text;
  if (!WHOLE_NUMBER.test(inner)) return null;
  const lower = inner.toLowerCase().replace(/^\+/, '');
  if (lower.endsWith('nan')) return 'nan';
  if (lower.startsWith('inf')) return 'inf';
  return lower.startsWith('-inf') ? '-inf' : toValue(Number(inner));
}

/** Names that a log has again and again, in bounded number. */
const REMEMBERED = 1_000;
const LONGEST_REMEMBERED = 200;

/** The same answer for the same name, without asking again: logs have few names, and each a thousand times. */
export function remembered(is: (name: string) => boolean): (name: string) => boolean {
  const known = new Map<string, boolean>();
  return (name) => {
    const before = known.get(name);
    if (before !== undefined) return before;
    const answer = is(name);
    if (known.size >= REMEMBERED) known.clear();
    if (name.length <= LONGEST_REMEMBERED) known.set(name, answer);
    return answer;
  };
}

export function toValue(number: number): Value {
  if (Number.isFinite(number)) return number;
  return Number.isNaN(number) ? 'nan' : number > 0 ? 'inf' : '-inf';
}

export const STEP_KEYS = [
  ...['step', 'global_step', 'num_updates', 'iteration', 'iter', 'round', 'update', 'num_timesteps', 'timestep'],
  ...['episode', 'generation'],
] as const;
export const EPOCH_KEYS = ['epoch'] as const;
/** Numbers about the program rather than the model. */
const NOT_METRICS = new Set([
  ...STEP_KEYS,
  ...EPOCH_KEYS,
  ...['steps', 'epochs', 'global_steps', 'max_steps', 'total_steps', 'num_epochs', 'total', 'it', 'batch', 'batches'],
  ...[
    'time',
    'timestamp',
    'ts',
    'date',
    'asctime',
    'created',
    'elapsed',
    'eta',
    'remaining',
    'duration',
    'dur',
    'data',
  ],
  ...['pid', 'tid', 'rank', 'local_rank', 'port', 'seed', 'level', 'lineno', 'line', 'thread', 'v_num', 'version'],
]);
/** Of a name that a log line without a step on it may have: one that is a measure of a model. */
const MEASURE =
  /(?:^|[^a-z])(?:val_?|train_?|test_?|eval_?)?(?:\w*loss|acc|accuracy|auc|auroc|f1|precision|recall|rmse|mae|mse|mape|error|perplexity|ppl|lr|learning_rate|reward|return|score|bleu|rouge\w*|iou|miou|map\d*|dice|r2|psnr|ssim|fid|wer|cer|grad_norm|gnorm|mfu|acc@?\d+|top[15]|nll|elbo|kl|bpb|bpc|inertia|mcc|kappa|ndcg\S*|mrr|entropy|exact_match|accuracy\w*)(?:$|[^a-z])/i;

/** `data_time`, `iter time`, `Time Taken`. */
const TIME = /(?:^|[_ ])time(?:$| taken$)/;
/** What a run begins with, and no step of it has. */
const SETTINGS =
  '(?:(?:num_|max_|n_|num_train_)?epochs|max_steps|max_iters|seed|num_workers|hidden_(?:size|dim)|(?:num|n)_layers|dropout|weight_decay|optimizer)';
const SETTING = new RegExp(`^${SETTINGS}$`, 'i');
const SETTING_ON_LINE = new RegExp(String.raw`\b(?<![/.-])${SETTINGS}['"]?\s?[=:]`, 'i');

export const isNoise = remembered((name) => {
  const lower = name.toLowerCase();
  return NOT_METRICS.has(lower) || TIME.test(lower);
});

/** Whether a record with this name in it lists the settings of a run. */
export function isSetting(name: string): boolean {
  return SETTING.test(name);
}

/** `Namespace(step=10, lr=0.1, seed=1)`. */
export function isListOfSettings(line: string): boolean {
  return SETTING_ON_LINE.test(line);
}

/** Whether a name is one that a measure of a model has. */
export const isMeasure = remembered((name) => MEASURE.test(name));

/** As they are and with a capital, a count of steps before a count of epochs. */
const COUNT_KEYS = [...STEP_KEYS, ...EPOCH_KEYS].flatMap((key) => [key, `${key[0]?.toUpperCase()}${key.slice(1)}`]);

/** The step among the keys of a record. */
export function stepOf(keys: ReadonlyMap<string, Value>): number | null {
  for (const key of COUNT_KEYS) {
    const value = keys.get(key);
    if (typeof value === 'number') return value;
  }
  return null;
}
