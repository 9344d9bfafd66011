import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PutParameterCommand, paginateListCommandInvocations, paginateListCommands } from '@aws-sdk/client-ssm';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { Check } from '../../cli/doctor/check.ts';
import { statePaths } from '../../local/cloud/paths.ts';
import { signedFetch } from '../../local/cloud/signed-fetch.ts';
import { readState } from '../../local/cloud/state.ts';
import { Cloud } from '../support/cloud/cloud.ts';
import { placesOf, tracesOf } from '../support/cloud/leftovers.ts';
import { Mailbox } from '../support/cloud/mailbox.ts';
import { projectFolder, runctl, shellEnvironment } from '../support/cloud/runctl.ts';
import { waitFor } from '../support/instance/processes.ts';
import { tarGz } from './archives.ts';

const WANDB = `wandb-${randomBytes(12).toString('hex')}`;
const HF = `hf_${randomBytes(12).toString('base64')}"\\`;
const PARAMETER = `/secrets-test/${randomBytes(4).toString('hex')}`;
const SECRET = `secrets-test-${randomBytes(4).toString('hex')}`;
const SECRETS = { WANDB_API_KEY: `ssm:${PARAMETER}`, HF_TOKEN: `secretsmanager:${SECRET}#token` };
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
/** As written, and as JSON and base64 write it. */
const FORMS = [WANDB, HF].flatMap((value) => [
  value,
  JSON.stringify(value).slice(1, -1),
  Buffer.from(value).toString('base64').slice(0, -4),
]);
const leaks = (text: string) => FORMS.filter((form) => text.includes(form));

const DIGESTS = `import hashlib, os, time
for name in ("WANDB_API_KEY", "HF_TOKEN"):
    print(name, hashlib.sha256(os.environ[name].encode()).hexdigest(), flush=True)
`;

let cloud: Cloud;
let env: Record<string, string>;
let mailbox: Mailbox;
beforeAll(async () => {
  cloud = await Cloud.connect();
  env = await shellEnvironment();
  await cloud.ssm.send(new PutParameterCommand({ Name: PARAMETER, Value: WANDB, Type: 'SecureString' }));
  await createSecret(SECRET, JSON.stringify({ token: HF }));
  mailbox = await Mailbox.subscribe(cloud, 'secrets-mailbox');
});
afterAll(() => mailbox.remove());

/** The SDK's client of Secrets Manager would be a dependency for one call. */
async function createSecret(Name: string, SecretString: string): Promise<void> {
  const state = await readState(statePaths(inject('cloudFolder')));
  if (!state) throw new Error('there is no local cloud');
  const answer = await signedFetch(`${state.endpoint}/`, state.credentials, {
    method: 'POST',
    headers: { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': 'secretsmanager.CreateSecret' },
    body: JSON.stringify({ Name, SecretString }),
  });
  if (!answer.ok) throw new Error(await answer.text());
}

/** The notifications of a run, once the last has come. */
async function notificationsOf(runId: string): Promise<string[]> {
  return await waitFor(async () => {
    const own = (await mailbox.messages()).filter((body) => body.includes(runId));
    return own.some((body) => /succeeded|failed/.test(body)) ? own : null;
  });
}

/** What SSM keeps of commands: its answers, with the requests in them decoded. */
async function commandHistory(): Promise<string> {
  const kept: unknown[] = [];
  for await (const page of paginateListCommands({ client: cloud.ssm }, {})) kept.push(page.Commands);
  for await (const page of paginateListCommandInvocations({ client: cloud.ssm }, { Details: true }))
    kept.push(page.CommandInvocations);
  const text = JSON.stringify(kept);
  const requests = [...text.matchAll(/"Request":\["([A-Za-z0-9+/=]+)"\]/g)];
  expect(requests.length).toBeGreaterThan(3);
  return text + requests.map(([, request]) => Buffer.from(request ?? '', 'base64').toString()).join('\n');
}

function filesBelow(folder: string): string[] {
  const entries = readdirSync(folder, { withFileTypes: true, recursive: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** Looks at all command lines of this machine, again and again, until `stop`. */
function watchCommandLines(): { stop: () => string[] } {
  const found = new Set<string>();
  const timer = setInterval(() => {
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, 'latin1');
        if (leaks(line).length > 0) found.add(line);
      } catch {
        // gone meanwhile
      }
    }
  }, 20);
  return {
    stop: () => {
      clearInterval(timer);
      return [...found];
    },
  };
}

describe('secrets of a run', () => {
  it('reach the script and nothing else: state, history, logs, bucket, notifications, command lines, files', async () => {
    const files = {
      'train.py': `${DIGESTS}while not os.path.exists(os.path.expanduser("~/may-end")): time.sleep(0.1)\n`,
    };
    const folder = projectFolder(cloud.project, { ...files, 'requirements.txt': '# nothing\n' });
    const lines = watchCommandLines();
    const options = Object.entries(SECRETS).flatMap(([name, reference]) => ['--secret', `${name}=${reference}`]);
    const started = await runctl(folder, ['run', '--yes', '--detach', ...options], env);
    expect(started).toMatchObject({ code: 0 });
    expect(started.stderr).toMatch(new RegExp(`secret +WANDB_API_KEY from ssm:${PARAMETER}`));
    const arn = `${cloud.machine.replace(':stateMachine:', ':execution:')}:${started.stdout.trim()}`;
    await cloud.entered(arn, 'Watch training');
    const live = await runctl(folder, ['status', started.stdout.trim()], env);
    writeFileSync(join(cloud.home, 'may-end'), '');
    const run = await cloud.finished(arn);
    expect(run).toMatchObject({ status: 'SUCCEEDED', output: { outcome: 'succeeded', warnings: [] } });
    const manifest = await cloud.manifest(arn);
    expect(manifest.spec).toMatchObject({ secrets: SECRETS });

    const traces = await tracesOf(cloud, run);
    traces.set('notifications', (await notificationsOf(run.id)).join('\n'));
    traces.set('SSM', await commandHistory());
    traces.set('status', JSON.stringify([live, await runctl(folder, ['status', run.id], env)]));
    const { agent, logs } = statePaths(inject('cloudFolder'));
    for (const path of [agent, logs, cloud.home, cloud.root].flatMap(filesBelow))
      traces.set(`file ${path}`, readFileSync(path, 'latin1'));
    // The script had them, and what is looked through is where a value would be.
    for (const value of [WANDB, HF]) {
      const places = placesOf(sha256(value), traces).join('\n');
      expect(places).toMatch(/^log group \/runctl\/runs$/m);
      expect(places).toMatch(/^object .*train\.log\.gz$/m);
      expect(places).toMatch(/^object .*manifest\.json$/m);
      expect(places).toMatch(/^file .*train\/log$/m);
    }
    expect([...traces.keys()].filter((place) => place.startsWith('history')).length).toBeGreaterThan(1);
    expect(placesOf(PARAMETER, traces)).toContain('SSM');
    for (const form of FORMS) expect(placesOf(form, traces)).toEqual([]);
    expect(lines.stop()).toEqual([]);
  });

  it('that the script prints are taken out of the last lines: manifest, cause, notification, status', async () => {
    const script = 'import os\nprint("the token is", os.environ["HF_TOKEN"], flush=True)\nraise SystemExit(3)\n';
    const archive = await cloud.put('archives/prints.tar.gz', await tarGz({ 'train.py': script }));
    const spec = { instance: cloud.instanceId, archive, project: 'prints', secrets: SECRETS };
    const run = await cloud.finished(await cloud.start(spec));
    expect(run.cause).toMatchObject({ outcome: 'failed', exitCode: 3, lastLines: ['the token is ***'] });
    const shown = [JSON.stringify(await cloud.manifest(run.arn)), run.history, ...(await notificationsOf(run.id))];
    expect(shown.join('\n')).toContain('the token is ***');
    expect(leaks(shown.join('\n'))).toEqual([]);
    // The log is what the script wrote.
    expect(await cloud.log(run.id, 'train')).toContain(HF);
  });

  it('end the run before the script when one cannot be read, also after an install that may fail', async () => {
    const archive = await cloud.put(
      'archives/unread.tar.gz',
      await tarGz({ 'train.py': 'import os\nopen(os.path.expanduser("~/begun"), "w")\n', 'requirements.txt': '#\n' }),
    );
    const secrets = { ...SECRETS, MISSING: 'ssm:/secrets-test/not-there' };
    const spec = { instance: cloud.instanceId, archive, project: 'unread', secrets };
    const run = await cloud.finished(await cloud.start(spec));
    expect(run).toMatchObject({ status: 'FAILED', error: 'SecretUnavailable' });
    expect(run.cause?.outcome).toBe('instance-unavailable');
    expect(run.cause?.message).toMatch(
      /^The secret ssm:\/secrets-test\/not-there \(for MISSING\) cannot be read: NotFound: ParameterNotFound: .* Check the name/,
    );
    expect(run.cause?.warnings).toEqual([expect.stringContaining('The install failed: The secret ssm:')]);
    expect(existsSync(join(cloud.home, 'begun'))).toBe(false);
    expect(leaks(run.history)).toEqual([]);
  });

  it('are checked by doctor, on the instance and without showing one', async () => {
    const secrets = { ...SECRETS, MISSING: 'ssm:/secrets-test/not-there' };
    const folder = projectFolder(cloud.project, {
      'runctl.yaml': `project: ${cloud.project}\nsecrets: ${JSON.stringify(secrets)}\n`,
    });
    const { code, stdout, stderr } = await runctl(folder, ['doctor', '--json'], env);
    const { checks } = JSON.parse(stdout) as { checks: Check[] };
    const found = checks.filter(({ name }) => name === 'secrets').map(({ state, detail }) => [state, detail]);
    expect(found).toEqual([
      ['ok', `WANDB_API_KEY from ${SECRETS.WANDB_API_KEY}: the instance can read it`],
      ['ok', `HF_TOKEN from ${SECRETS.HF_TOKEN}: the instance can read it`],
      ['failed', expect.stringMatching(/^MISSING from ssm:\/secrets-test\/not-there: NotFound: /)],
    ]);
    expect(code).toBe(3);
    expect(leaks(stdout + stderr + (await commandHistory()))).toEqual([]);
  });
});
