import { stringify } from 'yaml';
import { printable } from '../../core/archive/printable.ts';

/** What `init` knows of a folder. */
export interface Starter {
  readonly project: string;
  readonly script: string | null;
  /** Scripts to choose from, when none was found. */
  readonly candidates: readonly string[];
  readonly requirements: string | null;
  /** Id of the only instance that may be used; null: found by its tag, or not known. */
  readonly instance: string | null;
  /** Path of the JSON Schema, relative to the folder. */
  readonly schema: string;
}

/** A runctl.yaml that says what was found, and shows every other key as a comment that may be uncommented as it stands. */
export function specTemplate({ project, script, candidates, requirements, instance, schema }: Starter): string {
  return `# yaml-language-server: $schema=${schema}
# What \`runctl run\` trains, and where. Every key may be left out; an option of the command wins over it.

# Name of the code, and its folder on the instance.
${line({ project })}

# What is run.${candidates.length > 0 ? ` There: ${candidates.map(printable).join(', ')}` : ''}
${script === null ? `# ${line({ script: candidates[0] ?? 'train.py' })}` : line({ script })}
# args: ["--epochs", "3"]

# The instance, by its id or by a tag that it alone has.${instance === null ? '' : ` Without this line: tag:Project=${project}`}
${instance === null ? `# ${line({ instance: `tag:Project=${project}` })}` : line({ instance })}

# Installed before each training, when it changed. best-effort: a failed install is a warning; required; skip.
# ${line({ requirements: requirements ?? 'requirements.txt' })}
# install: best-effort
# installer: auto  # uv, then pip3 --user
# python: /opt/pytorch/bin/python  # default: the image's environment, else python3

# Kept when the training ends, however it ended: \`runctl pull\` brings them.
# outputs: ["outputs/**"]

# maxDuration: 24h  # of the training; then TERM, and KILL after stopGrace
# stopGrace: 30s
# ifBusy: queue  # or skip, refuse: when the instance trains something else
# maxWait: 24h  # in the queue
# maxLogBytes: 1GiB  # to CloudWatch; the copy in S3 stays whole
# user: ubuntu  # default: ubuntu or ec2-user, whichever exists

# Of install and training. Not for secrets: they show in the execution's history.
# env: {"SEED": "1"}

# Secrets of install and training: the instance reads the values with its role. Only references are written here.
# secrets: {"WANDB_API_KEY": "ssm:/team/wandb", "HF_TOKEN": "secretsmanager:team/hf#token"}
`;
}

function line(pair: Record<string, string>): string {
  return stringify(pair).trimEnd();
}
