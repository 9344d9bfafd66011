import { type ArchiveStore, archiveStoreOver } from '../../../aws/archive-store.ts';
import { checkpointStoreOver } from '../../../aws/checkpoint-store.ts';
import { executionsOver } from '../../../aws/executions.ts';
import { functionsOver } from '../../../aws/functions.ts';
import { instancesOver } from '../../../aws/instances.ts';
import { logStoreOver } from '../../../aws/log-store.ts';
import { powerOver } from '../../../aws/power.ts';
import { commandsOver } from '../../../aws/run-command.ts';
import { runFilesOver } from '../../../aws/run-files.ts';
import { DEFAULT_CAPS } from '../../../core/archive/caps.ts';
import { ERRORS, nameInMessage } from '../../../core/errors.ts';
import {
  interruptionKey,
  NOTIFY_FUNCTION,
  POWER_MACHINE,
  RUN_DOCUMENT,
  RUN_LOG_GROUP,
  RUN_MACHINE,
  STOP_FUNCTION,
  WATCH_MACHINE,
} from '../../../core/names.ts';
import { logger } from '../../../lambdas/adapters/logger.ts';
import { notifyOver, watchPowerOver } from '../../../lambdas/adapters/ports.ts';
import { createCheck } from '../../../lambdas/check-instance.ts';
import { createConfirm } from '../../../lambdas/confirm-pid.ts';
import { createFind } from '../../../lambdas/find-instance.ts';
import { createFinish } from '../../../lambdas/finish-run.ts';
import { createInstall } from '../../../lambdas/install-requirements.ts';
import { createPlan, readNotice } from '../../../lambdas/plan-attempt.ts';
import { createPoll } from '../../../lambdas/poll-logs.ts';
import { createRestore } from '../../../lambdas/restore-checkpoint.ts';
import { createStart } from '../../../lambdas/start-training.ts';
import { createStopIfIdle } from '../../../lambdas/stop-if-idle.ts';
import { createStop } from '../../../lambdas/stop-run.ts';
import { createSync } from '../../../lambdas/sync-code.ts';
import { createVerify } from '../../../lambdas/verify-archive.ts';
import { MemoryCheckpointStore } from '../../support/fakes/checkpoint-store.ts';
import { Executions } from '../asl/executions.ts';
import type { Clock } from '../clock.ts';
import type { Random } from '../random.ts';
import { BUCKET, type Bucket } from './bucket.ts';
import { Invocation, type Service } from './invocation.ts';
import type { Logs } from './logs.ts';
import { PRICE } from './schedule.ts';
import type { Ssm } from './ssm.ts';
import type { Weather } from './weather.ts';

logger.setLogLevel('SILENT');

/** The services that the functions call. */
export interface Services {
  readonly clock: Clock;
  readonly random: Random;
  readonly weather: () => Weather;
  readonly ssm: Ssm;
  readonly logs: Logs;
  readonly bucket: Bucket;
  readonly states: Service;
  readonly lambda: Service;
  /** Whether Poll logs commits checkpoints. */
  readonly keepsCheckpoints: boolean;
  /** Whether no function works; left out: never. */
  readonly isGone?: () => boolean;
}

const PROGRAM = { sha256: 'a'.repeat(64), bucket: BUCKET, key: 'runctl/program.zip' };

/** Of the URLs for a restore (aws/checkpoint-store.ts). */
const URL_MS = 12 * 3_600_000;

type Handler = (event: never, requestId: string) => Promise<unknown>;

/** The real handlers with the real adapters, for one invocation. */
function handlers(services: Services, invocation: Invocation): Readonly<Record<string, Handler>> {
  const { clock, bucket, random, weather } = services;
  const now = () => clock.now();
  const sleep = (ms: number) => invocation.spend(ms);
  const ssm = invocation.client<Parameters<typeof commandsOver>[0]['ssm']>(services.ssm.service);
  const document = RUN_DOCUMENT;
  const presign = ({ key }: { key: string }) => bucket.sign({ input: { Key: key } });
  const warn = () => undefined;
  type LogClient = Parameters<typeof logStoreOver>[0]['logs'];
  const logClients = {
    logs: invocation.client<LogClient>(services.logs.service),
    once: invocation.client<LogClient>(services.logs.service, { attempts: 1 }),
  };
  const logs = logStoreOver({ ...logClients, now }, RUN_LOG_GROUP);
  const s3 = invocation.client<Parameters<typeof runFilesOver>[0]>(bucket.service);
  const files = runFilesOver(s3, bucket.sign, BUCKET);
  const archives = archiveStoreOver(s3, bucket.sign);
  const sfn = invocation.client<Parameters<typeof executionsOver>[0]>(services.states);
  const executions = executionsOver(sfn);
  const instances = instancesOver(invocation.client<Parameters<typeof instancesOver>[0]>(services.ssm.ec2), ssm);
  const power = powerOver(invocation.client<Parameters<typeof powerOver>[0]>(services.ssm.ec2));
  const watchPower = watchPowerOver(executions, Executions.machineArn(POWER_MACHINE));
  const through = (asks: Parameters<typeof commandsOver>[0]['instances']) =>
    commandsOver({ ssm, document, presign, instances: asks, now, sleep, warn });
  const functions = functionsOver(invocation.client<Parameters<typeof functionsOver>[0]>(services.lambda));
  const notify = notifyOver(functions, NOTIFY_FUNCTION);
  const job = { commands: through(instances), logs, chunks: null, hasEnded: executions.hasEnded, now };
  const patient = { ...job, commands: through(null) };
  const store = checkpointStoreOver(
    s3,
    // The session of the function's role may end before its URLs.
    { grant: bucket.grant, sign: (command) => bucket.sign(command, random.chance(weather().put / 3) ? 5_000 : URL_MS) },
    BUCKET,
  );
  const checkpoints = services.keepsCheckpoints ? store : new MemoryCheckpointStore();
  const end = {
    ...patient,
    chunks: files,
    files,
    presignPut: (key: string) => files.presignPut(key),
    history: (arn: string) => executions.history(arn, { data: false }),
    executions,
    watchMachineArn: Executions.machineArn(WATCH_MACHINE),
    watchPower,
  };
  const prices = { priceOf: () => Promise.resolve(PRICE) };
  return {
    'runctl-verify-archive': heldVerify(clock, {
      archives,
      caps: DEFAULT_CAPS,
      checkpoints,
      durationLimits: {},
      indexes: { put: () => Promise.resolve(), noteUse: () => Promise.resolve() },
      program: PROGRAM,
      documentVersion: () => Promise.resolve(services.ssm.documentVersion),
      uploadBucket: BUCKET,
    }),
    'runctl-find-instance': createFind({ instances, prices, power, watchPower, now }),
    'runctl-sync-code': createSync({
      ...job,
      archives,
      notify,
      longWait: 600,
      clearUp: (executionArn) =>
        functions.invokeLater(STOP_FUNCTION, { detail: { executionArn, holdsInstance: true } }),
    }),
    'runctl-install-requirements': createInstall({ ...job, store: checkpoints }),
    'runctl-restore-checkpoint': createRestore({ ...job, store: checkpoints }),
    'runctl-start-training': createStart(job),
    'runctl-confirm-pid': createConfirm({ ...job, notify }),
    'runctl-poll-logs': createPoll({
      ...job,
      chunks: files,
      ...(services.keepsCheckpoints ? { checkpoints: store } : {}),
    }),
    'runctl-check-instance': createCheck(instances),
    'runctl-plan-attempt': createPlan({
      ...end,
      checkpoints,
      instances,
      prices,
      interruptionOf: async (id) => readNotice((await store.read(interruptionKey(id)))?.text ?? ''),
    }),
    'runctl-finish-run': createFinish(end),
    'runctl-stop-if-idle': createStopIfIdle({ instances, commands: through(instances), stop: power.stop, now }),
    [STOP_FUNCTION]: createStop({ ...end, runMachineArn: Executions.machineArn(RUN_MACHINE), sleep }),
  };
}

/** Reading an archive uses zlib's threads, which a virtual clock does not notice. */
function heldVerify(clock: Clock, ports: Parameters<typeof createVerify>[0]): ReturnType<typeof createVerify> {
  return async (event) => {
    let release = () => {};
    // What a run goes on from is read after the archive, by calls that take their time.
    const { read, list, head } = ports.checkpoints;
    const free =
      <A extends unknown[], T>(call: (...args: A) => T) =>
      (...args: A): T => {
        release();
        return call.apply(ports.checkpoints, args);
      };
    const checkpoints: typeof ports.checkpoints = { read: free(read), list: free(list), head: free(head) };
    const open: ArchiveStore['open'] = async (location) => {
      const opened = await ports.archives.open(location);
      const end = clock.hold();
      release = () => {
        release = () => {};
        end();
      };
      return opened;
    };
    try {
      return await createVerify({ ...ports, checkpoints, archives: { ...ports.archives, open } })(event);
    } finally {
      release();
    }
  };
}

/** A function's failure, as Step Functions receives it. */
export class FunctionFailed extends Error {
  override readonly name: string;

  constructor(name: string, message: string) {
    super(message);
    this.name = name;
  }
}

/** The Lambda service. */
export class Functions {
  /** The number of running invocations and pending retries. */
  active = 0;
  /** Unexpected errors: defects of the product or of the soak. */
  readonly faults: string[] = [];
  /** Events that were given up. */
  readonly deadLetters: unknown[] = [];
  private readonly services: Services;
  private readonly timeouts: Readonly<Record<string, number>>;

  /** @param timeouts of the functions, by name, seconds */
  constructor(services: Services, timeouts: Readonly<Record<string, number>>) {
    this.services = services;
    this.timeouts = timeouts;
  }

  /** A synchronous call. @throws FunctionFailed */
  async call(name: string, event: unknown): Promise<unknown> {
    const { random, clock, weather } = this.services;
    await clock.sleep(random.between(5, 40));
    if (random.chance(weather().refused / 2))
      throw new FunctionFailed('Lambda.TooManyRequestsException', 'Rate Exceeded.');
    const answer = await this.run(name, event, `request-${random.next()}`);
    if (random.chance(weather().unanswered))
      throw new FunctionFailed(random.pick(['Lambda.SdkClientException', 'Lambda.ServiceException']), 'lost');
    return answer;
  }

  /** An asynchronous call, with at most three attempts. */
  later(name: string, event: unknown): void {
    const { random, clock } = this.services;
    const requestId = `request-${random.next()}`;
    const attempt = async (number: number) => {
      try {
        await this.run(name, event, requestId);
      } catch (error) {
        if (!(error instanceof FunctionFailed)) throw error;
        if (number < 3) return clock.timer(number * 60_000, () => void attempt(number + 1));
        this.deadLetters.push(event);
      }
      this.active -= 1;
      return undefined;
    };
    this.active += 1;
    clock.timer(random.between(10, 300), () => void attempt(1));
  }

  private async run(name: string, event: unknown, requestId: string): Promise<unknown> {
    const { clock, random, weather, isGone } = this.services;
    if (isGone?.()) throw new FunctionFailed('Lambda.ServiceException', `${name} is gone`);
    const invocation = new Invocation({ clock, random, weather });
    const handler = handlers(this.services, invocation)[name];
    if (!handler) throw new Error(`the soak knows no function ${name}`);
    const cancel = clock.timer((this.timeouts[name] ?? 900) * 1_000, () => invocation.die('Sandbox.Timedout'));
    this.active += 1;
    const died = invocation.death.then((error) => {
      throw new FunctionFailed(error, `${name} died`);
    });
    try {
      return await Promise.race([handler(structuredClone(event) as never, requestId), died]);
    } catch (error) {
      throw this.failure(name, error);
    } finally {
      cancel();
      this.active -= 1;
    }
  }

  private failure(name: string, error: unknown): Error {
    if (error instanceof FunctionFailed) return error;
    const known = error instanceof Error && Object.hasOwn(ERRORS, error.name);
    if (!known) this.faults.push(`${name}: ${error instanceof Error ? error.stack : String(error)}`);
    const { message, name: errorType } = nameInMessage(error) as Error;
    return new FunctionFailed(errorType, JSON.stringify({ errorType, errorMessage: message }));
  }
}
