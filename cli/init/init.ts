import { readdir, readFile, realpath, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { EC2Client } from '@aws-sdk/client-ec2';
import { chooseScript, ScriptNotFound } from '../../core/archive/choose-script.ts';
import { ENABLED_TAG } from '../../core/names.ts';
import { refuseOtherSpecFiles, SPEC_FILE } from '../../core/spec/archive-spec.ts';
import { toReadable } from '../account/aws-errors.ts';
import { findInstances, tagOf } from '../account/instances.ts';
import { refuseBroadFolder } from '../archive/broad-folder.ts';
import { findRequirements } from '../archive/code.ts';
import { PackError } from '../archive/pack-error.ts';
import { listFiles } from '../archive/pack-list.ts';
import type { Context } from '../context.ts';
import { CliError, EXIT, type ExitCode, usageError } from '../errors.ts';
import { PRIVATE_FOLDER, writePrivate } from '../project/private-folder.ts';
import { nameProject } from '../project/project.ts';
import { specTemplate } from './template.ts';

/** Never packed, and ignored by git through a .gitignore of its own. */
const SCHEMA = 'runctl.schema.json';
const schemaFile = fileURLToPath(new URL(`../../${SCHEMA}`, import.meta.url));

/** Writes a runctl.yaml for the folder, and the JSON Schema with which editors complete it, so that it works offline. */
export async function initProject(
  context: Pick<Context, 'folder' | 'terminal' | 'account'>,
  options: { force: boolean },
): Promise<ExitCode> {
  const { folder, terminal } = context;
  await refuseBroadFolder(await realpath(folder));
  refuseOtherSpecFiles(await readdir(folder));
  const name = await nameProject(folder, {}, {});
  const names = await namesIn(folder);
  const onlyModule = findModule(names);
  const { script, candidates } = findScript(names, onlyModule);
  const module = script === null ? onlyModule : null;
  const requirements = await findRequirements(folder, names, {}, SPEC_FILE);
  const instance = await suggestInstance(context.account.ec2, name.value);
  const schema = `${PRIVATE_FOLDER}/${SCHEMA}`;
  await write(
    join(folder, SPEC_FILE),
    specTemplate({
      project: name.value,
      script,
      module,
      candidates,
      requirements: requirements?.value ?? null,
      instance: instance.write,
      schema,
    }),
    options.force,
  );
  await putSchema(folder);
  terminal.print(`Wrote ${SPEC_FILE}`);
  terminal.note(`  project       ${name.value}  (${name.from})`);
  if (module !== null) terminal.note(`  module        ${module}`);
  else terminal.note(`  script        ${script ?? 'not found; name it in runctl.yaml'}`);
  terminal.note(`  requirements  ${requirements === null ? 'none' : `${requirements.value}  (${requirements.from})`}`);
  terminal.note(`  instance      ${instance.found}`);
  terminal.note('');
  for (const next of instance.next) terminal.note(next);
  if (script === null && module === null)
    terminal.note(`Name what to run in ${SPEC_FILE} (script, module or command). Then: runctl run`);
  else terminal.note('To start a run: runctl run');
  return EXIT.succeeded;
}

/** @returns what to print, what to write into the file, and what to do next. A failing AWS call is not an error here. */
async function suggestInstance(ec2: Pick<EC2Client, 'send'>, project: string) {
  const tag = `aws ec2 create-tags --resources i-… --tags Key=${ENABLED_TAG.key},Value=${ENABLED_TAG.value} Key=Project,Value=${project}`;
  try {
    const enabled = await findInstances(ec2, `tag:${ENABLED_TAG.key}=${ENABLED_TAG.value}`);
    const mine = enabled.filter((instance) => tagOf(instance, 'Project') === project);
    const [only] = mine.length > 0 ? mine : enabled;
    const id = only?.InstanceId ?? null;
    if (mine.length === 1) return { found: `${id}  (its tag Project=${project})`, write: null, next: [] };
    if (enabled.length === 1)
      return { found: `${id}  (the only instance with the tag runctl=enabled)`, write: id, next: [] };
    const ids = enabled.map(({ InstanceId }) => InstanceId).join(', ');
    const found =
      enabled.length === 0 ? 'no instance has the tag runctl=enabled' : `name one of these in runctl.yaml: ${ids}`;
    return { found, write: null, next: enabled.length === 0 ? [`To tag your instance: ${tag}`] : [] };
  } catch (error) {
    const problem = toReadable(error);
    if (!(problem instanceof CliError)) throw error;
    return {
      found: 'not checked',
      write: null,
      next: [`${problem.message} ${problem.next}`, `To tag your instance: ${tag}`],
    };
  }
}

async function write(path: string, text: string, force: boolean): Promise<void> {
  try {
    await writeFile(path, text, { flag: force ? 'w' : 'wx' });
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    throw usageError(`${SPEC_FILE} already exists.`, 'Edit it, or overwrite it with --force.', { cause: error });
  }
}

async function putSchema(folder: string): Promise<void> {
  await writePrivate(folder, SCHEMA, await readFile(schemaFile, 'utf8'));
}

/** An empty folder may get its runctl.yaml before its code. */
async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await listFiles(folder)).files.map(({ name }) => name);
  } catch (error) {
    if (error instanceof PackError) return [];
    throw error;
  }
}

/** The only package that Python can run, at the top or in src/. */
function findModule(names: readonly string[]): string | null {
  const packages = names.flatMap((name) => /^(?:src\/)?([A-Za-z_]\w*)\/__main__\.py$/.exec(name)?.[1] ?? []);
  return packages.length === 1 ? (packages[0] ?? null) : null;
}

/** Python files at the top that configure tools. */
const TOOLING = ['setup.py', 'conftest.py', 'noxfile.py', 'tasks.py', 'fabfile.py'];
/** Candidates that the file names. */
const SHOWN = 10;

/** The script that a run would choose; else the only Python file at the top, else the only shell script with train in its name. */
function findScript(names: readonly string[], module: string | null): { script: string | null; candidates: string[] } {
  try {
    return { script: chooseScript(names, null).script, candidates: [] };
  } catch (error) {
    if (!(error instanceof ScriptNotFound)) throw error;
    const python = error.candidates.filter((name) => !TOOLING.includes(name));
    const shell = names.filter((name) => /^[^/]+\.sh$/.test(name)).sort();
    const atTop = python.filter((name) => !name.includes('/'));
    // Others build containers or start servers more often than they train.
    const training = shell.filter((name) => /train/i.test(name));
    const [only, ...others] = atTop.length === 0 && module === null ? training : atTop;
    if (only !== undefined && others.length === 0) return { script: only, candidates: [] };
    return { script: null, candidates: module === null ? [...python, ...shell].slice(0, SHOWN) : [] };
  }
}
