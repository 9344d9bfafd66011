import type { Removals } from '../../core/archive/removals.ts';
import { formatSize } from '../../core/units.ts';
import type { Instance } from '../../core/workflow/data.ts';
import type { Script } from '../archive/code.ts';
import type { Packed } from '../archive/pack.ts';
import type { PlanOutput } from '../output/schemas.ts';
import type { Found } from '../project/project.ts';
import { leftOutText } from './code-notes.ts';
import { quoted } from './columns.ts';
import { removalsText } from './removals.ts';

export interface Plan {
  readonly project: Found<string>;
  readonly code: { readonly packed: Packed } | { readonly archive: string };
  /** null: from the archive's runctl.yaml. */
  readonly script: Script | null;
  /** null: nothing is installed. */
  readonly requirements: Found<string> | null;
  readonly args: readonly string[];
  /** References by the name of the variable. */
  readonly secrets: Readonly<Record<string, string>>;
  readonly instance: {
    readonly found: Instance & { readonly isStarted?: true };
    readonly selector: Found<string>;
  } | null;
  /** Dollars that the instance may cost; undefined: no cap, or not known. */
  readonly maxCost?: number | undefined;
  /** What the sync removes; null: not known. */
  readonly removals: Removals | null;
}

/** What a run is going to do, as rows of label and value. */
export function planRows(plan: Plan): [string, string][] {
  const { project, script, requirements, args, secrets, instance, removals } = plan;
  const leftOut = 'packed' in plan.code ? leftOutText(plan.code.packed.leftOut) : null;
  return [
    ['project', from(project)],
    ['code', codeRow(plan.code)],
    ...(leftOut === null ? [] : [['left out', leftOut] satisfies [string, string]]),
    [script?.key ?? 'script', script === null ? "from the archive's runctl.yaml" : from(script)],
    ...('archive' in plan.code && requirements === null
      ? []
      : [['install', requirements === null ? 'nothing' : from(requirements)] satisfies [string, string]]),
    ...(args.length === 0 ? [] : [['args', args.map(quoted).join(' ')] satisfies [string, string]]),
    ...Object.entries(secrets).map(([name, reference]): [string, string] => ['secret', `${name} from ${reference}`]),
    [
      'instance',
      instance === null
        ? "from the archive's runctl.yaml"
        : `${instance.found.id}, ${instance.found.type}${instance.found.isStarted ? ', which the run starts' : ''}  (${instance.selector.value === instance.found.id ? '' : `${instance.selector.value}, `}${instance.selector.from})`,
    ],
    ...(removals === null || removals.files === 0
      ? []
      : [
          ['removes', `${removalsText(removals)}, synced before and no longer in this folder`] satisfies [
            string,
            string,
          ],
        ]),
    ['cost', `the instance (${costOfInstance(plan)}), and under 2 cents an hour for runctl itself`],
  ];
}

function costOfInstance({ maxCost }: Plan): string {
  return maxCost === undefined ? 'aws.amazon.com/ec2/pricing' : `$${maxCost} at most: maxCost`;
}

/** The plan as `run --dry-run --json` prints it. */
export function planJson({ project, code, script, requirements, args, instance, removals }: Plan): PlanOutput {
  const packed = 'packed' in code ? code.packed : null;
  return {
    dryRun: true,
    project: project.value,
    script: script?.value ?? null,
    requirements: requirements?.value ?? null,
    args: [...args],
    instance: instance?.found.id ?? null,
    files: packed?.files.length ?? null,
    bytes: packed?.bytes ?? null,
    archiveBytes: packed?.archiveBytes ?? null,
    archive: 'archive' in code ? code.archive : null,
    gitCommit: packed?.git?.commit ?? null,
    gitDirty: packed?.git?.dirty ?? null,
    removals,
  };
}

function codeRow(code: Plan['code']): string {
  if ('archive' in code) return code.archive;
  const { packed } = code;
  const { git } = packed;
  const differences = git?.dirty === true ? `, dirty: ${git.differences.join(', ')}` : '';
  const commit = git && `commit ${git.commit.slice(0, 10)}${differences}`;
  const size = `${packed.files.length} ${packed.files.length === 1 ? 'file' : 'files'}, ${formatSize(packed.bytes)}, packed ${formatSize(packed.archiveBytes)}`;
  return [size, commit].filter(Boolean).join('; ');
}

function from({ value, from }: Found<string>): string {
  return `${value}  (${from})`;
}
