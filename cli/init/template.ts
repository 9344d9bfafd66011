import { stringify } from 'yaml';
import { printable } from '../../core/archive/printable.ts';

/** What `init` found out about a folder. */
export interface Starter {
  readonly project: string;
  readonly script: string | null;
  /** A package that Python can run, when there is no script. */
  readonly module: string | null;
  /** Scripts to choose from, when none was found. */
  readonly candidates: readonly string[];
  readonly requirements: string | null;
  /** Id of the only enabled instance; null when the default tag finds it, or it is unknown. */
  readonly instance: string | null;
  /** Path of the JSON Schema, relative to the folder. */
  readonly schema: string;
}

/** A runctl.yaml with the values that were found, and every other key as a comment that is valid when uncommented. */
export function specTemplate({ project, script, module, candidates, requirements, instance, schema }: Starter): string {
  return `# yaml-language-server: $schema=${schema}
# What \`runctl run\` trains, and where. Every key is optional; options of the command override them.

# Name of the project, and of its folder on the instance.
${line({ project })}

# What to run: a script, a module (python -m), or a command; one of the three.${candidates.length > 0 ? ` Found: ${candidates.map(printable).join(', ')}` : ''}
${script === null ? `# ${line({ script: candidates[0] ?? 'train.py' })}` : line({ script })}
${module === null ? '# module: pkg.train' : line({ module })}
# command: torchrun --nproc-per-node=gpu train.py
# args: ["--epochs", "3"]

# The instance: its id, or a tag that no other instance has.${instance === null ? '' : ` Default: tag:Project=${project}`}
${instance === null ? `# ${line({ instance: `tag:Project=${project}` })}` : line({ instance })}

# Installed before the training when it has changed. best-effort: a failed install is a warning; or required, skip.
# ${line({ requirements: requirements ?? 'requirements.txt' })}
# install: best-effort

# An environment of this project's own, with the packages of the image. shared: that of all projects.
environment: project
# storeEnvironment: false  # default: true; it is kept in S3, for the next instance
# installer: auto  # uv, then pip3 --user
# python: /opt/pytorch/bin/python  # default: the image's environment, else python3

# Files to save when the training ends, successfully or not, if the run created or changed them.
# \`runctl pull\` downloads them.
# outputs: ["outputs/**"]

# Checkpoints that are sent to S3 while the training runs: a folder, or false for none.
# checkpoints: {path: checkpoints, keep: 3, every: 0s}

# Where a run goes on: latest, or the id of a run; mostly given as --resume. auto: a further attempt from its own run.
# resume: auto
# Arguments that the script gets with a checkpoint to go on from; it also has the variable RUNCTL_RESUME_FROM.
# resumeArgs: ["--resume_from_checkpoint", "{checkpoint}"]
# Further attempts: a number after any bad end. Default: after a lost or interrupted instance, if there is a checkpoint.
# retries: {on: [instance-lost, interrupted], times: 3}

# Folders beside this one that are packed with it: ../common becomes common/.
# include: ["../common"]

# Whether a sync may remove more than 100 files, or 100 MB, that this folder no longer has.
# allowRemovals: false

# Whether a sync may replace code of this project that another folder or repository has synced.
# takeOver: false

# maxDuration: 24h  # of the training; then runctl sends TERM, and KILL after stopGrace
# stopGrace: 30s
# maxCost: 5  # dollars of the instance for this run; then runctl ends the training as for maxDuration
# lingerGrace: 60s  # for what still runs, idle, after the script has exited
# ifBusy: queue  # or skip, refuse: what to do while the instance trains something else
# maxWait: 24h  # in the queue
# stopAfter: 10m  # until an instance with the tag runctl:power=managed is stopped
# maxLogBytes: 1GiB  # sent to CloudWatch; the copy in S3 is always complete
# user: ubuntu  # one that the instance's tag runctl:users names; default: the instance's

# Metrics in the log that runctl does not recognize: a name, and an RE2 expression whose first group is the value.
# metrics: [{"name": "score", "regex": "Score is ([0-9.]+)"}]
# The metrics that lists show first, and that CloudWatch gets for alarms; three at most.
# headline: ["val_loss"]

# A name and a note for each run, in lists; mostly given as --name and --note.
# name: baseline
# note: what the run is about

# Environment variables of install and training. Not for secrets: the execution history shows them.
# env: {"SEED": "1"}

# Secrets of install and training: the instance reads the values with its role. Only references are written here.
# secrets: {"WANDB_API_KEY": "ssm:/team/wandb", "HF_TOKEN": "secretsmanager:team/hf#token"}
`;
}

function line(pair: Record<string, string>): string {
  return stringify(pair).trimEnd();
}
