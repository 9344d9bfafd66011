import { createHash } from 'node:crypto';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CloudFormationClient, DescribeStacksCommand } from '@aws-sdk/client-cloudformation';
import { isCheckout } from '../../cli/deploy/installation.ts';
import { synthesize as synthesizeApp } from '../../cli/deploy/synthesize.ts';
import { STACK_NAME } from '../../core/names.ts';
import type { Report } from '../tools/python-tools.ts';
import { cdkHome, runCdk } from './cdk.ts';
import { localSettings } from './clients.ts';
import { account, type CloudAccess, region } from './credentials.ts';
import { cloudEnvironment } from './environment.ts';
import { withLock } from './lock.ts';
import { projectRoot, type StatePaths } from './paths.ts';

// The sources of a deployment. When one changes, `up` deploys again.
const sources = isCheckout
  ? ['bin/app.ts', 'lib', 'lambdas', 'aws', 'core', 'instance', 'cdk.json', 'package-lock.json']
  : ['dist/app.js', 'dist/lambdas', 'instance', 'cdk.json'];

/** Creates the CDK's own bucket and roles in the local cloud. */
export async function bootstrap(
  access: CloudAccess,
  paths: StatePaths,
  report: Report,
  signal: AbortSignal,
): Promise<void> {
  await runCdk({ args: ['bootstrap', `aws://${account}/${region}`], cwd: paths.local, report, signal }, access, paths);
}

/**
 * Synthesizes the real stack into {@link assembly}, unless it is there already, from the same sources.
 * MiniStack's CloudFormation has no AWS::SSM::Document: `pushDocuments` creates the documents instead.
 */
export async function synthesize(
  hash: string,
  access: CloudAccess,
  paths: StatePaths,
  report: Report,
  signal: AbortSignal,
): Promise<void> {
  const folder = assembly(paths);
  const stamp = `${folder}.sources`;
  // The folder is shared: another cloud of this project may be synthesizing.
  const onWait = () => report('another process is preparing the templates; waiting for it');
  await withLock(`${folder}.lock`, onWait, async () => {
    if ((await readFile(stamp, 'utf8').catch(() => '')) === hash) return report('the sources have not changed');
    await rm(stamp, { force: true });
    await rm(folder, { recursive: true, force: true });
    const context = { 'runctl:local': true };
    await synthesizeApp({ folder, context, env: cloudEnvironment(access, paths), home: cdkHome(paths), signal });
    await writeFile(stamp, hash);
  });
}

/** Deploys what {@link synthesize} wrote. */
export async function deploy(
  access: CloudAccess,
  paths: StatePaths,
  report: Report,
  signal: AbortSignal,
): Promise<void> {
  const args = ['deploy', STACK_NAME, '--app', assembly(paths), '--require-approval', 'never', '--progress', 'events'];
  await runCdk({ args, cwd: paths.local, report, signal }, access, paths);
}

/** The folder of the synthesized templates. Not cdk.out, which another `cdk synth` may be writing. */
export function assembly(paths: StatePaths): string {
  return join(paths.cache, 'cdk.out');
}

/** A hash of all sources of a deployment. */
export async function sourcesHash(): Promise<string> {
  const hash = createHash('sha256');
  for (const source of sources) await addTo(hash, source);
  return hash.digest('hex');
}

async function addTo(hash: ReturnType<typeof createHash>, path: string): Promise<void> {
  const absolute = join(projectRoot, path);
  const entries = await readdir(absolute, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOTDIR') return undefined;
    throw error;
  });
  if (entries === undefined) {
    hash
      .update(`${path}\0`)
      .update(await readFile(absolute))
      .update('\0');
    return;
  }
  const names = entries.map((entry) => entry.name).filter((name) => name !== '__pycache__');
  for (const name of names.sort()) await addTo(hash, join(path, name));
}

/** The stack's outputs by name. */
export async function stackOutputs(access: CloudAccess): Promise<Record<string, string>> {
  const client = new CloudFormationClient(localSettings(access));
  try {
    const { Stacks } = await client.send(new DescribeStacksCommand({ StackName: STACK_NAME }));
    return Object.fromEntries(
      (Stacks?.at(0)?.Outputs ?? []).map((output) => [output.OutputKey ?? '', output.OutputValue ?? '']),
    );
  } finally {
    client.destroy();
  }
}
