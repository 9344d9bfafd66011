import type { Instance } from '@aws-sdk/client-ec2';
import { describe, expect, it } from 'vitest';
import type { Account } from '../../../cli/account/account.ts';
import { translateAwsError } from '../../../cli/account/aws-errors.ts';
import { checkStack } from '../../../cli/doctor/account.ts';
import type { Check } from '../../../cli/doctor/check.ts';
import { checkInside } from '../../../cli/doctor/inside.ts';
import { checkInstance } from '../../../cli/doctor/instance.ts';
import { DOCUMENTS, OUTPUTS } from '../../../core/names.ts';
import { PROTOCOL } from '../../../core/protocol/messages.ts';
import type { ProbeAnswer } from '../../../core/protocol/probe.ts';
import type { SpecInput } from '../../../core/spec/spec.ts';
import { SHA256 } from '../../support/fakes/samples.ts';
import { awsError, fakeClient, type Reply } from '../../support/fakes/sdk-client.ts';

const ID = 'i-0123456789abcdef0';
const WANTED = { value: 'tag:Project=digits', from: 'the project' };
const outputs = Object.values(OUTPUTS).map((OutputKey) => ({ OutputKey, OutputValue: 'x' }));

/** An account where all is well, but for the given replies. */
function account(replies: Record<string, (input: Record<string, unknown>) => Reply> = {}, stack: object = {}): Account {
  const { client } = fakeClient({
    HeadBucketCommand: () => ({}),
    DescribeDocumentCommand: () => ({ Document: { Status: 'Active', Description: 'runctl' } }),
    GetDocumentCommand: () => ({ DocumentVersion: '2', Content: SHA256 }),
    DescribeInstancesCommand: () => ({ Reservations: [{ Instances: [instance()] }] }),
    DescribeInstanceInformationCommand: () => ({ InstanceInformationList: [{ PingStatus: 'Online' }] }),
    SendCommandCommand: () => ({ Command: { CommandId: 'c' } }),
    ...replies,
  });
  const CreationTime = new Date(0);
  return {
    s3: client,
    ssm: client,
    ec2: client,
    region: () => Promise.resolve('eu-central-1'),
    output: (name: keyof typeof OUTPUTS) =>
      Promise.resolve(name === 'program' ? `s3://assets/runctl/x.zip#${SHA256}` : 'runctl-uploads'),
    stack: () => Promise.resolve({ StackStatus: 'CREATE_COMPLETE', CreationTime, Outputs: outputs, ...stack }),
  } as unknown as Account;
}

function instance(changes: Partial<Instance> = {}): Instance {
  return {
    InstanceId: ID,
    InstanceType: 'g5.xlarge',
    State: { Name: 'running' },
    Tags: [{ Key: 'runctl', Value: 'enabled' }],
    IamInstanceProfile: { Arn: 'arn:aws:iam::123456789012:instance-profile/runctl-instance' },
    ...changes,
  };
}

const found = (...Instances: Instance[]) => ({ DescribeInstancesCommand: () => ({ Reservations: [{ Instances }] }) });

async function all(checks: AsyncGenerator<Check, unknown>): Promise<Record<string, Check>> {
  const list: Record<string, Check> = {};
  for await (const check of checks) list[check.name] = check;
  return list;
}

const states = (list: Record<string, Check>) =>
  Object.fromEntries(Object.values(list).map(({ name, state }) => [name, state]));

describe('the stack', () => {
  it('is well', async () => {
    expect(states(await all(checkStack(account())))).toEqual({ stack: 'ok', bucket: 'ok', documents: 'ok' });
  });

  it('of an older runctl has no output of today: deploy again', async () => {
    const { stack, bucket } = await all(checkStack(account({}, { Outputs: outputs.slice(1) })));
    expect(stack).toMatchObject({ state: 'failed', fix: ['runctl deploy'] });
    expect(stack?.detail).toContain(outputs[0]?.OutputKey);
    expect(bucket?.state).toBe('skipped');
  });

  it('whose last deployment failed works, with a warning', async () => {
    const { stack, bucket } = await all(checkStack(account({}, { StackStatus: 'UPDATE_ROLLBACK_COMPLETE' })));
    expect([stack?.state, bucket?.state]).toEqual(['warning', 'ok']);
  });

  it('whose bucket or documents somebody has deleted is brought back', async () => {
    const name = DOCUMENTS[1];
    const list = await all(
      checkStack(
        account({
          HeadBucketCommand: () => awsError('NotFound'),
          DescribeDocumentCommand: ({ Name }) =>
            Name === name ? awsError('InvalidDocument') : { Document: { Status: 'Active' } },
        }),
      ),
    );
    const fix = ['runctl deploy --revert-drift'];
    expect(list.bucket).toMatchObject({ state: 'failed', fix });
    expect(list.documents).toMatchObject({ state: 'failed', fix, detail: `missing: ${name}` });
  });

  it('the documents are skipped for who may not describe them', async () => {
    const { documents } = await all(
      checkStack(account({ DescribeDocumentCommand: () => awsError('AccessDeniedException') })),
    );
    expect(documents).toMatchObject({
      state: 'skipped',
      detail: expect.stringMatching(/^requires the policy runctl-operator\. .*ssm:DescribeDocument of runctl/),
    });
  });

  it('that the person may not read: the missing action is named', async () => {
    const { bucket } = await all(checkStack(account({ HeadBucketCommand: () => awsError('AccessDenied') })));
    expect(bucket).toMatchObject({
      state: 'failed',
      detail: expect.stringContaining('s3:ListBucket on runctl-uploads'),
    });
  });
});

describe('the instance', () => {
  const look = (replies = {}, wanted = WANTED) => all(checkInstance(account(replies), wanted));

  it('is well', async () => {
    expect(states(await look())).toEqual({ instance: 'ok', tag: 'ok', role: 'ok', ssm: 'ok' });
  });

  it.each([
    ['stopped', [instance({ State: { Name: 'stopped' } })], `aws ec2 start-instances --instance-ids ${ID}`],
    ['one of two', [instance(), instance({ InstanceId: 'i-2' })], `Choose one: --instance ${ID}`],
    ['terminated', [instance({ State: { Name: 'terminated' } })], 'To start one: docs/guide/first-run.md'],
  ])('%s', async (_, instances, fix) => {
    const list = await look(found(...instances));
    expect(list.instance?.state).toBe('failed');
    expect(list.instance?.fix[0]).toContain(fix);
    expect(list.tag?.state).toBe('skipped');
  });

  it('that has no tags yet gets both by one command', async () => {
    const untagged = (input: Record<string, unknown>) =>
      input.Filters ? {} : { Reservations: [{ Instances: [instance({ Tags: [] })] }] };
    const list = await look({ DescribeInstancesCommand: untagged });
    expect(list.instance?.fix).toEqual([
      `aws ec2 create-tags --resources ${ID} --tags Key=runctl,Value=enabled Key=Project,Value=digits`,
    ]);
  });

  it('that is not enabled gets the tag', async () => {
    const { tag } = await look(found(instance({ Tags: [{ Key: 'runctl', Value: 'no' }] })));
    expect(tag).toMatchObject({
      state: 'failed',
      detail: expect.stringContaining('runctl=no'),
      fix: [`aws ec2 create-tags --resources ${ID} --tags Key=runctl,Value=enabled`],
    });
  });

  it('without a role, and an agent that never connected', async () => {
    const { IamInstanceProfile: _, ...bare } = instance();
    const list = await look({ ...found(bare), DescribeInstanceInformationCommand: () => ({}) });
    expect(list.role?.fix[0]).toBe(
      `aws ec2 associate-iam-instance-profile --instance-id ${ID} --iam-instance-profile Name=runctl-instance`,
    );
    expect(list.ssm).toMatchObject({ state: 'failed', detail: expect.stringContaining('never connected') });
  });

  it('without a role, but with an agent that is online, is well', async () => {
    const { IamInstanceProfile: _, ...bare } = instance();
    expect((await look(found(bare))).role?.state).toBe('ok');
  });
});

describe('a managed instance', () => {
  const look = (replies = {}) => all(checkInstance(account(replies), WANTED));
  const managed = [...(instance().Tags ?? []), { Key: 'runctl:power', Value: 'managed' }];
  const shutdown = (Value: string) => ({
    DescribeInstanceAttributeCommand: () => ({ InstanceInitiatedShutdownBehavior: { Value } }),
  });

  it('may be stopped: a run starts it', async () => {
    const checks = await look(found(instance({ State: { Name: 'stopped' }, Tags: managed })));
    expect(checks).toMatchObject({ instance: { state: 'ok' }, ssm: { state: 'skipped' } });
    expect(checks.instance?.detail).toContain('stopped; a run starts it');
  });

  it.each([
    ['stop', 'ok'],
    ['terminate', 'warning'],
  ])('whose shutdown means %s: %s', async (behavior, state) => {
    const running = found(instance({ Tags: managed }));
    expect(await look({ ...running, ...shutdown(behavior) })).toMatchObject({ power: { state } });
  });

  it('cannot be stopped without a root volume', async () => {
    const running = found(instance({ Tags: managed, RootDeviceType: 'instance-store' }));
    expect(await look(running)).toMatchObject({ power: { state: 'failed' } });
  });

  it('is not asked about where nobody gave consent', async () => {
    expect(await look()).not.toHaveProperty('power');
  });
});

describe('inside the instance', () => {
  const GB = 2 ** 30;
  const disk = { path: '/home/ubuntu', free: 100 * GB, bytes: 200 * GB };
  const well: ProbeAnswer = {
    user: 'ubuntu',
    home: '/home/ubuntu',
    disk: { home: disk, root: disk },
    python: { path: '/opt/pytorch/bin/python3', reason: 'why', version: '3.12.1', pip: true, error: null },
    uv: { path: '/usr/bin/uv', version: 'uv 0.9.1', error: null },
    gpu: { devices: 1, names: ['NVIDIA A10G'], error: null },
    secrets: {},
    metadata: null,
  };
  const look = (answer: object, replies = {}, spec: SpecInput = {}) => {
    const StandardOutputContent = JSON.stringify({ protocol: PROTOCOL, ok: true, ...answer });
    const ends = { GetCommandInvocationCommand: () => ({ Status: 'Success', StandardOutputContent }), ...replies };
    return all(checkInside(account(ends), instance(), spec, new AbortController().signal));
  };

  it('all is well', async () => {
    const list = await look(well);
    expect(states(list)).toEqual({
      disk: 'ok',
      user: 'ok',
      metadata: 'ok',
      python3: 'ok',
      pip: 'ok',
      uv: 'ok',
      gpu: 'ok',
    });
    expect(list.gpu?.detail).toBe('1 × NVIDIA A10G');
  });

  it.each([
    ['disk', { disk: { home: { ...disk, free: 5 * GB }, root: disk } }, 'warning'],
    ['disk', { disk: { home: disk, root: { ...disk, free: GB / 4 } } }, 'failed'],
    ['user', { administratorGroups: ['docker', 'sudo'] }, 'warning'],
    ['metadata', { metadata: 'jobs have no cgroup of their own on this instance' }, 'warning'],
    ['metadata', { metadata: undefined }, 'warning'],
    ['python3', { python: { error: 'no python3 on PATH' } }, 'failed'],
    ['pip', { python: { ...well.python, pip: false } }, 'warning'],
    ['uv', { uv: null }, 'ok'],
    ['uv', { uv: { path: '/x/uv', version: null, error: 'exit code 1' } }, 'warning'],
    ['gpu', { gpu: { devices: 1, names: [], error: 'nvidia-smi: exit code 9' } }, 'failed'],
    ['gpu', { gpu: { devices: 0, names: [], error: null } }, 'ok'],
  ])('%s: %j is %s', async (name, changes, state) => {
    const check = (await look({ ...well, ...changes }))[name];
    expect(check?.state).toBe(state);
    expect(check?.fix.length === 0).toBe(state === 'ok');
  });

  const problem = { error: 'AccessDenied: no.', next: 'Allow it.' };
  it.each([
    [null, 'ok', []],
    [problem, 'failed', ['Allow it.', expect.stringContaining('trackers-and-secrets')]],
    [undefined, 'warning', ['runctl deploy']],
  ])('a secret of which the instance says %j is %s', async (said, state, fix) => {
    const spec = { secrets: { HF_TOKEN: 'ssm:/hf' } };
    const asked: unknown[] = [];
    const sent = {
      SendCommandCommand: ({ Parameters }: { Parameters: { Request: string[] } }) => {
        asked.push(JSON.parse(Buffer.from(Parameters.Request[0] ?? '', 'base64').toString()));
        return { Command: { CommandId: 'c' } };
      },
    };
    const list = await look({ ...well, secrets: { HF_TOKEN: said } }, sent, spec);
    expect(list.secrets).toMatchObject({ state, fix });
    expect(list.secrets?.detail).toMatch(/^HF_TOKEN from ssm:\/hf: /);
    expect(asked).toMatchObject([spec]);
  });

  it.each([
    [{ path: '/opt/pytorch/bin/torchrun', error: null }, 'ok', 'torchrun is /opt/pytorch/bin/torchrun'],
    [{ path: null, error: 'the program torchrun was not found in /bin' }, 'warning', 'was not found in /bin'],
    [undefined, 'warning', 'older version of runctl'],
  ])('a command of which the instance says %j is %s', async (command, state, detail) => {
    const list = await look({ ...well, command }, {}, { command: 'torchrun train.py' });
    expect(list.command).toMatchObject({ state, detail: expect.stringContaining(detail) });
    const path = await look({ ...well, command }, {}, { command: ['./launch', 'train.py'] });
    expect(path.command).toBeUndefined();
  });

  it('secrets are skipped if the instance does not answer', async () => {
    const list = await all(checkInside(account({}), null, { secrets: { A: 'ssm:/a' } }, new AbortController().signal));
    expect(list.secrets?.state).toBe('skipped');
  });

  it('is skipped for who may not probe, with the missing action', async () => {
    const list = await look(well, { SendCommandCommand: () => awsError('AccessDeniedException') });
    expect(states(list)).toEqual({
      disk: 'skipped',
      user: 'skipped',
      metadata: 'skipped',
      python3: 'skipped',
      pip: 'skipped',
      uv: 'skipped',
      gpu: 'skipped',
    });
    const denied = translateAwsError(awsError('AccessDeniedException'), `ssm:SendCommand of ${DOCUMENTS[1]} to ${ID}`);
    expect(list.disk?.detail).toBe(`requires the policy runctl-operator. ${denied.message}`);
  });

  it.each([
    ['nothing', '', 'did not answer'],
    ['a refusal', JSON.stringify({ protocol: 1, ok: false, error: { name: 'NoUser', message: 'no user' } }), 'NoUser'],
  ])('an instance that answers %s', async (_, StandardOutputContent, words) => {
    const list = await look(well, { GetCommandInvocationCommand: () => ({ Status: 'Failed', StandardOutputContent }) });
    expect(list.disk).toMatchObject({ state: 'failed', detail: expect.stringContaining(words) });
  });

  it('a document that runs another program than the stack’s functions is deployed again', async () => {
    const list = await look(well, { GetDocumentCommand: () => ({ DocumentVersion: '1', Content: 'another' }) });
    expect(list.disk).toMatchObject({ state: 'failed', detail: expect.stringContaining('ProgramMissing') });
  });
});
