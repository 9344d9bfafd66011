import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cloudRequirements, ensureVenv, type Report } from '../tools/python-tools.ts';
import type { CloudAccess, CloudCredentials } from './credentials.ts';
import { cloudEnvironment } from './environment.ts';
import { LocalError } from './errors.ts';
import { packageCaches, projectRoot, type StatePaths } from './paths.ts';
import { isAlive, startBackground, tailOf } from './processes.ts';
import { signedFetch } from './signed-fetch.ts';
import type { ProcessRef } from './state.ts';

export const host = '127.0.0.1';
const readyWithinMs = 60_000;

/** Creates the emulator's Python environment on first use. @returns its folder */
export async function prepareMinistack(paths: StatePaths, report: Report, signal: AbortSignal): Promise<string> {
  return await ensureVenv('cloud', cloudRequirements, report, paths, signal);
}

/** Starts the emulator behind the guard that checks signatures. It may not answer yet. */
export async function startMinistack(venv: string, access: CloudAccess, paths: StatePaths): Promise<ProcessRef> {
  const tmp = join(paths.local, 'tmp');
  await mkdir(tmp, { recursive: true });
  // The emulator writes its Lambda workers, CommonJS files, to this folder. Without a package.json of its
  // own, the project's would make them ES modules.
  await writeFile(join(tmp, 'package.json'), '{"type":"commonjs"}\n');
  return await startBackground({
    program: join(venv, 'bin', 'python'),
    args: ['-B', join(projectRoot, 'local', 'gateway')], // -B: writes no __pycache__
    cwd: tmp,
    logFile: ministackLog(paths),
    env: {
      ...cloudEnvironment(access, paths),
      GATEWAY_PORT: new URL(access.endpoint).port,
      GATEWAY_NOTICES: paths.notices,
      GATEWAY_INSTANCES: paths.instance,
      GATEWAY_IMAGES: paths.images,
      GATEWAY_PACKAGES: packageCaches(paths),
      STATE_DIR: join(paths.local, 'ministack'),
      S3_DATA_DIR: join(paths.local, 'ministack-s3'),
      PYTHONUNBUFFERED: '1',
      // Instance metadata only with a token (IMDSv2).
      MINISTACK_IMDS_V2_REQUIRED: '1',
      // These listeners are not needed, and would use fixed ports on every interface.
      IOT_MTLS_ENABLED: '0',
      SFTP_ENABLED: '0',
      // The emulator removes its containers at start. It must not reach the person's Docker.
      DOCKER_HOST: `unix://${join(paths.local, 'no-docker.sock')}`,
    },
  });
}

export function ministackLog(paths: StatePaths): string {
  return join(paths.logs, 'ministack.log');
}

export async function ministackAnswers({ endpoint, credentials }: CloudAccess): Promise<boolean> {
  return await answers(`${endpoint}/_ministack/health`, credentials);
}

/** Whether `url` answers a signed request with 200 within two seconds. */
export async function answers(url: string, credentials: CloudCredentials): Promise<boolean> {
  try {
    const response = await signedFetch(url, credentials, { signal: AbortSignal.timeout(2_000) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false; // refused, reset or too slow: not ready yet
  }
}

/** Waits until `check` returns true. @throws LocalError with the log's last lines if the process ends, or after 60 s */
export async function untilReady(
  name: string,
  ref: ProcessRef,
  check: () => Promise<boolean>,
  logFile: string,
  signal: AbortSignal,
): Promise<void> {
  const deadline = Date.now() + readyWithinMs;
  for (;;) {
    signal.throwIfAborted();
    if (await check()) return;
    const alive = await isAlive(ref);
    if (!alive || Date.now() > deadline) {
      throw new LocalError(
        `${name} ${alive ? `did not answer within ${readyWithinMs / 1_000} s` : 'stopped while it was starting'}. The end of its log:\n${await tailOf(logFile)}`,
        `The full log is in ${logFile}. Run \`runctl local down\`, then \`runctl local up\`.`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
