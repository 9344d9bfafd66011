import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { containerKinds, insideKind } from '../support/instance/container-kinds.ts';
import { isRoot, NOBODY, useInstances } from '../support/instance/test-instance.ts';

const instance = useInstances();

/** In a network of its own, where the service's addresses are on this machine, and nobody listens. */
const NETWORK = [
  'unshare',
  '--net',
  'sh',
  '-c',
  'ip link set lo up && for at in 169.254.169.254/32 169.254.169.253/32 fd00:ec2::254/128; do ip addr add $at dev lo; done; exec "$@"',
  'sh',
] as const;

/** Prints the error of a connection to each address, and of a datagram. */
const TRY = `import socket
def attempt(family, kind, address):
    one = socket.socket(family, kind)
    one.settimeout(0.5)
    try:
        one.connect((address, 80)) if kind == socket.SOCK_STREAM else one.sendto(b"x", (address, 80))
        return "sent"
    except OSError as error:
        return type(error).__name__
STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
print(attempt(socket.AF_INET, STREAM, "169.254.169.254"))
print(attempt(socket.AF_INET, DATAGRAM, "169.254.169.254"))
print(attempt(socket.AF_INET6, STREAM, "fd00:ec2::254"))
print(attempt(socket.AF_INET6, DATAGRAM, "fd00:ec2::254"))
print(attempt(socket.AF_INET6, STREAM, "::ffff:169.254.169.254"))
print(attempt(socket.AF_INET, STREAM, "169.254.169.253"))
`;
const REFUSED = 'ConnectionRefusedError';
const DENIED = 'PermissionError';
const WARNING = "can reach the instance metadata service, and so the credentials of the instance's role";

const kinds = containerKinds();
const hasNetwork = isRoot && succeeds([...NETWORK, 'true']);
if (!hasNetwork) console.log('skipped: access to the metadata service, since there is no network namespace here');

describe.runIf(hasNetwork && kinds.includes('cgroup'))('a job', () => {
  it.each(['the current user', NOBODY.name])('of %s does not reach the metadata service', async (user) => {
    const { output, warned } = await run({ before: NETWORK, ...(user === NOBODY.name ? { user } : {}) });
    expect(output).toEqual([DENIED, DENIED, DENIED, DENIED, 'TimeoutError', REFUSED]);
    expect(warned).toBe(false);
  });

  it('reaches it when the instance allows that', async () => {
    const { output, warned } = await run({ before: NETWORK }, { imds: true });
    expect(output).toEqual([REFUSED, 'sent', REFUSED, 'sent', REFUSED, REFUSED]);
    expect(warned).toBe(false);
  });
});

describe.runIf(isRoot && kinds.includes('pid-namespace'))('where it cannot be blocked', () => {
  const before = insideKind('pid-namespace');

  it('the job runs, and its log and the warnings of the run say so', async () => {
    const { box, id, output, warned } = await run({ before }, {}, 'print("trained")\n');
    const collect = { ...box.common('collect', id), grace: 1, wait: 20, outputs: [], maxBytes: 1_000_000 };
    const { answer } = await box.send<{ warnings: string[] }>(collect);
    expect(answer).toMatchObject({ warnings: [expect.stringContaining('could reach the instance metadata service')] });
    expect(output[0]).toContain(WARNING);
    expect(output[1]).toBe('trained');
    expect(warned).toBe(true);
  });

  it('nothing is said when the instance allows it, or when a local cloud has another service', async () => {
    const allowed = await run({ before }, { imds: true }, 'print("trained")\n');
    expect(allowed).toMatchObject({ output: ['trained'], warned: false });
    const env = { AWS_EC2_METADATA_SERVICE_ENDPOINT: 'http://127.0.0.1:9' };
    const local = await run({ before, env }, {}, 'print("trained")\n');
    expect(local).toMatchObject({ output: ['trained'], warned: false });
  });
});

/** Puts the user `nobody` into the group lxd, for the runner and what it starts. */
const ADMINISTRATOR = [
  'unshare',
  '--mount',
  'sh',
  '-c',
  'file=$(mktemp) && cp /etc/group "$file" && echo lxd:x:4242:nobody >>"$file" && mount --bind "$file" /etc/group && exec "$@"',
  'sh',
] as const;

it.runIf(isRoot && succeeds([...ADMINISTRATOR, 'true']))('a user who can become root is named in the log', async () => {
  const { output } = await run({ before: ADMINISTRATOR, user: NOBODY.name }, {}, 'print("trained")\n');
  expect(output).toContain(
    "[runctl] the user nobody is in the administrators' groups lxd: code of this run can become root",
  );
  const { output: plain } = await run({ user: NOBODY.name }, {}, 'print("trained")\n');
  expect(plain).toEqual(['trained']);
});

it('an `imds` that is not true or false is refused', async () => {
  const box = instance();
  const answer = await box.start(box.giveLease(box.run()), { train: {} }, { imds: 'allow' });
  expect(answer).toMatchObject({ ok: false, error: { name: 'BadRequest', message: 'imds is not true or false' } });
});

async function run(options: NonNullable<Parameters<typeof instance>[0]>, fields = {}, script = TRY) {
  const box = instance(options);
  box.write('train.py', script);
  const id = box.giveLease(box.run());
  await box.start(id, { train: {} }, fields);
  const ended = await box.ended(id, 'train');
  expect(ended).toMatchObject({ state: 'exited', exit: { code: 0 } });
  const warned = existsSync(join(box.jobFolder(id, 'train'), 'metadata-open.json'));
  return { box, id, output: box.logOf(id, 'train').toString().trim().split('\n'), warned };
}

function succeeds([command, ...args]: readonly string[]): boolean {
  try {
    execFileSync(command as string, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
