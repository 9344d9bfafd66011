import type { GitState } from '../../core/archive/git-state.ts';
import { hourlyPrice, PRICES_OF } from '../../core/outcome/instance-prices.ts';
import { formatSize } from '../../core/units.ts';
import type { Instance } from '../../core/workflow/data.ts';
import type { Packed } from '../archive/pack.ts';
import type { Found } from '../project/project.ts';

export interface Plan {
  readonly project: Found<string>;
  readonly code: { readonly packed: Packed; readonly git: GitState | null } | { readonly archive: string };
  /** null: the archive's own runctl.yaml decides. */
  readonly script: Found<string> | null;
  readonly args: readonly string[];
  /** References by the name of the variable. */
  readonly secrets: Readonly<Record<string, string>>;
  readonly instance: { readonly found: Instance; readonly wanted: Found<string> } | null;
  readonly region: string;
}

/** What a run is going to do: a label and what it says. */
export function planRows(plan: Plan): [string, string][] {
  const { project, script, args, secrets, instance } = plan;
  return [
    ['project', from(project)],
    ['code', codeRow(plan.code)],
    ['script', script === null ? "as the archive's runctl.yaml says" : from(script)],
    ...(args.length === 0 ? [] : [['args', args.map(quoted).join(' ')] satisfies [string, string]]),
    ...Object.entries(secrets).map(([name, reference]): [string, string] => ['secret', `${name} from ${reference}`]),
    [
      'instance',
      instance === null
        ? "as the archive's runctl.yaml says"
        : `${instance.found.id}, ${instance.found.type}  (${instance.wanted.value === instance.found.id ? '' : `${instance.wanted.value}, `}${instance.wanted.from})`,
    ],
    ['cost', costRow(instance?.found.type ?? null, plan.region)],
  ];
}

function codeRow(code: Plan['code']): string {
  if ('archive' in code) return code.archive;
  const { packed, git } = code;
  const commit = git && `commit ${git.commit.slice(0, 10)}${git.dirty ? ' with uncommitted changes' : ''}`;
  const size = `${packed.files.length} ${packed.files.length === 1 ? 'file' : 'files'}, ${formatSize(packed.bytes)}, packed ${formatSize(packed.archiveBytes)}`;
  return [size, commit].filter(Boolean).join('; ');
}

function costRow(type: string | null, region: string): string {
  const ours = 'runctl itself under 2 cents an hour';
  const price = type === null ? null : hourlyPrice(type);
  if (price === null) return `instance: price not known here${type === null ? '' : ` for ${type}`}; ${ours}`;
  const elsewhere = region === PRICES_OF.region ? '' : `; ${region} may differ`;
  return `instance $${price} an hour (on-demand list price of ${PRICES_OF.region}, ${PRICES_OF.date}${elsewhere}); ${ours}`;
}

function from({ value, from }: Found<string>): string {
  return `${value}  (${from})`;
}

function quoted(arg: string): string {
  return /^[\w./:=,@%+-]+$/.test(arg) ? arg : JSON.stringify(arg);
}
