import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { AnswerTo } from '../../../core/protocol/answers.ts';
import { sharedUv } from './shared-uv.ts';
import { type InstanceOptions, type TestInstance, type TestRun, waitFor } from './test-instance.ts';

/** In every file that must not be in an image. */
export const NEEDLE = 'needle-4f1d';
const URL = `https://bucket.s3.amazonaws.com/code.tar.gz?X-Amz-Signature=${'0123456789abcdef'.repeat(4)}`;

const IN_HOME = [
  '.bash_history',
  '.zsh_history',
  '.python_history',
  '.node_repl_history',
  '.sqlite_history',
  '.psql_history',
  '.mysql_history',
  '.lesshst',
  '.viminfo',
  '.wget-hsts',
  '.ssh/id_ed25519',
  '.ssh/authorized_keys',
  '.aws/credentials',
  '.netrc',
  '.git-credentials',
  '.config/gcloud/credentials.db',
  '.config/gh/hosts.yml',
  '.config/wandb/settings',
  '.docker/config.json',
  '.kube/config',
  '.cache/huggingface/token',
  '.cache/pip/http/a/b/c',
  '.huggingface/token',
  '.kaggle/kaggle.json',
  '.pypirc',
  '.runctl/tmp/build/setup.py',
  '.runctl/digits/sync/archive',
  '.runctl/digits/sync/manifest.json',
  '.runctl/installs/notes.txt',
  '.runctl/image/other.txt',
];
const IN_SYSTEM = [
  'etc/ssh/ssh_host_ed25519_key',
  'etc/ssh/ssh_host_rsa_key.pub',
  'etc/machine-id',
  'var/lib/dbus/machine-id',
  'var/lib/systemd/random-seed',
  'var/lib/systemd/coredump/core.python3.zst',
  'var/lib/cloud/instances/i-1/user-data.txt',
  'var/lib/cloud/data/instance-id',
  'var/lib/dhcp/dhclient.eth0.leases',
  'var/lib/NetworkManager/internal-1-eth0.lease',
  'var/log/syslog',
  'var/log/syslog.2.gz',
  'var/log/cloud-init-output.log',
  'var/log/journal/1/system.journal',
  'var/log/amazon/ssm/amazon-ssm-agent.log',
  'tmp/.hidden/file',
  'tmp/file',
  'var/tmp/a/b',
  'root/.bash_history',
  'root/.ssh/authorized_keys',
];
const OF_AGENT = [
  'var/lib/amazon/ssm/Vault/Store/EC2RegistrationKey',
  'var/lib/amazon/ssm/ipc/health/surveyor-1',
  'var/lib/amazon/ssm/i-1/document/orchestration/1/awsrunShellScript/stdout',
  'var/snap/amazon-ssm-agent/1/Vault/Store/InstanceFingerprint',
];
export const KEPT_IN_SYSTEM = [
  'etc/hostname',
  'var/lib/cloud/seed/nocloud/meta-data',
  'var/lib/cloud/scripts/per-boot/a',
];

/** A builder whose machine is a folder, on which a run has ended. */
export class Builder {
  readonly here: TestInstance;
  readonly system: string;
  /** Of the boot that the next request is of. */
  boot = 'boot-of-the-builder';
  readonly done: TestRun;

  constructor(instance: (options: InstanceOptions) => TestInstance, modules?: InstanceOptions['modules']) {
    let system = '';
    const boot = () => this.boot;
    const env = {
      get RUNCTL_SYSTEM_ROOT() {
        return system;
      },
      get RUNCTL_SHUTDOWN() {
        return JSON.stringify(['touch', join(system, 'shut down')]);
      },
      get RUNCTL_BOOT_ID() {
        return boot();
      },
    };
    this.here = instance({ env, ...(modules === undefined ? {} : { modules }) });
    system = join(this.here.base, 'system');
    this.system = system;
    mkdirSync(system);
    this.done = this.here.run('bake');
  }

  get isDown(): boolean {
    return existsSync(join(this.system, 'shut down'));
  }

  place(path: string, text: string): string {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    return path;
  }

  /** Everything that must go, and some of what must stay. */
  fill(): void {
    for (const name of IN_HOME) this.place(join(this.here.home, name), `${NEEDLE} ${name}\n`);
    for (const name of [...IN_SYSTEM, ...OF_AGENT]) this.place(join(this.system, name), `${NEEDLE} ${URL}\n`);
    for (const name of KEPT_IN_SYSTEM) this.place(join(this.system, name), 'of the image\n');
    this.here.write('src/model.py', `# ${NEEDLE}\n`);
    this.ranOf('digits');
    this.place(join(this.here.root, 'metrics', `${this.done.key}.jsonl`), NEEDLE);
  }

  /** What a run of a project leaves in the root. */
  ranOf(project: string): void {
    const folder = join(this.here.root, 'runs', project === 'digits' ? this.done.key : `other-${project}`, 'train');
    this.place(join(folder, 'request.json'), JSON.stringify({ project, train: { env: { NEEDLE } } }));
    this.place(join(folder, 'log'), `${NEEDLE} ${URL}\n`);
    this.place(join(folder, 'exit.json'), JSON.stringify({ code: 0, reason: null, result: null }));
  }

  hasRegistration(): boolean {
    return OF_AGENT.every((name) => existsSync(join(this.system, name)));
  }

  /** Has uv, so that an install needs no network but the test's index. */
  useUv(): void {
    mkdirSync(join(this.here.home, '.local', 'bin'), { recursive: true });
    copyFileSync(sharedUv(), join(this.here.home, '.local', 'bin', 'uv'));
  }

  async scrub(run = this.done, fields: object = {}): Promise<AnswerTo<'scrub'>> {
    const image = { key: 'digits-0123456789abcdef', base: 'ami-0123456789abcdef0' };
    const request = { ...this.here.common('scrub', run), image, delay: 0, ...fields };
    return (await this.here.send<AnswerTo<'scrub'>>(request)).answer;
  }

  state(): Record<string, unknown> {
    return JSON.parse(readFileSync(join(this.here.root, 'image.json'), 'utf8')) as Record<string, unknown>;
  }

  /** Until the process that scrubs has ended, with this state. */
  async until(state: 'scrubbed' | 'failed'): Promise<Record<string, unknown>> {
    const found = await waitFor(async () => (this.state().state === state ? this.state() : null));
    if (state === 'scrubbed') await waitFor(() => this.isDown || null);
    await waitFor(() => this.here.processes().length === 0 || null);
    return found;
  }

  /** Every regular file below the root, the home and the system: path → content. */
  files(): Map<string, string> {
    const found = new Map<string, string>();
    for (const folder of [this.here.root, this.here.home, this.system])
      for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true }))
        if (entry.isFile()) {
          const path = join(entry.parentPath, entry.name);
          found.set(path, readFileSync(path, 'latin1'));
        }
    return found;
  }

  withNeedle(): string[] {
    return [...this.files()].flatMap(([path, text]) => (/needle-4f1d|X-Amz-Signature=0/.test(text) ? [path] : []));
  }
}
