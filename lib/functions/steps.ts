import { Duration, type Stack } from 'aws-cdk-lib';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { READ_ARCHIVE_MEMORY_MIB, READ_ARCHIVE_S } from '../../core/archive/caps.ts';
import {
  ARCHIVE_PREFIX,
  INDEX_PREFIX,
  NOTIFY_FUNCTION,
  RUN_DOCUMENT,
  RUN_LOG_GROUP,
  STOP_FUNCTION,
  UPLOAD_PREFIX,
} from '../../core/names.ts';
import type { RunProgram } from '../../core/workflow/data.ts';
import type { Config } from '../config.ts';
import {
  assembleArchives,
  carryLogChunks,
  commandInstances,
  describeAgents,
  describeInstances,
  describeRuns,
  fetchProgram,
  invokeFunction,
  joinOutputs,
  keepCheckpoints,
  keepRunFiles,
  measure,
  powerMachineArn,
  readArchives,
  readCheckpoints,
  readDocument,
  readHistories,
  readInterruptions,
  readPrices,
  readShutdownBehavior,
  readWatches,
  restoreCheckpoints,
  restoreEnvironments,
  runMachineArn,
  startInstances,
  stopInstances,
  stopWatches,
  storeEnvironments,
  watchMachineArn,
  watchPower,
  writeIndexes,
  writeRunLogs,
} from '../iam/functions.ts';
import { StepLambda } from './step-lambda.ts';

/** A poll sends at most two commands, 75 s each (lambdas/adapters/commands.ts), and then writes the log. */
export const ONE_POLL = Duration.seconds(180);
/** Sync code polls twice when the instance is busy. */
const TWO_POLLS = Duration.seconds(330);
/** Begins no request after 100 s (lambdas/finish-run.ts), and then writes the manifest. */
const END_RUN = Duration.seconds(300);
/** Stays with a run until it is over: the longest that a function may. */
const STOP_RUN = Duration.minutes(15);
/** Holds a patch of 128 MiB, what it is made of, and a part on its way, for as long as S3 takes. */
const ASSEMBLE_MEMORY = 1024;
/** Holds a chunk of log as bytes and as text (core/job/log-chunks.ts). */
const LOG_MEMORY = 512;

export interface StepsProps {
  readonly config: Config;
  readonly bucket: Bucket;
  readonly deadLetters: IQueue;
  /** Which program the instances run, and where they fetch it. */
  readonly program: Omit<RunProgram, 'documentVersion'>;
}

/** The Lambda functions behind the states of runctl-run and runctl-watch, named as their states. */
export class Steps extends Construct {
  readonly assembleArchive: StepLambda;
  readonly verifyArchive: StepLambda;
  readonly findInstance: StepLambda;
  readonly syncCode: StepLambda;
  readonly installRequirements: StepLambda;
  readonly restoreCheckpoint: StepLambda;
  readonly startTraining: StepLambda;
  readonly confirmPid: StepLambda;
  readonly pollLogs: StepLambda;
  readonly checkInstance: StepLambda;
  readonly planAttempt: StepLambda;
  readonly finishRun: StepLambda;
  readonly stopIfIdle: StepLambda;
  /** No state: an event starts it. */
  readonly stopRun: StepLambda;

  constructor(stack: Stack, props: StepsProps) {
    super(stack, 'Steps');
    const { config, bucket } = props;
    const commands = [
      ...commandInstances(stack, RUN_DOCUMENT),
      fetchProgram(stack, props.program.bucket),
      ...writeRunLogs(stack),
      describeRuns(stack),
    ];
    const jobStep = {
      config,
      environment: { logGroup: RUN_LOG_GROUP },
      permissions: [...commands, describeInstances()],
      timeout: ONE_POLL,
    };
    const power = { powerMachineArn: powerMachineArn(stack) };
    this.assembleArchive = new StepLambda(this, 'assemble-archive', {
      config,
      description: 'Makes an archive from an earlier one and a patch',
      environment: { archiveCaps: JSON.stringify(config.archiveCaps), uploadBucket: bucket.bucketName },
      permissions: assembleArchives(bucket),
      timeout: Duration.seconds(READ_ARCHIVE_S),
      memory: ASSEMBLE_MEMORY,
    });
    this.verifyArchive = new StepLambda(this, 'verify-archive', {
      config,
      description: 'Checks the spec and reads the archive once, without extracting it',
      environment: {
        archiveCaps: JSON.stringify(config.archiveCaps),
        durationLimits: JSON.stringify(config.durationLimits),
        program: JSON.stringify(props.program),
        uploadBucket: bucket.bucketName,
      },
      permissions: [
        ...readArchives(bucket),
        ...readCheckpoints(bucket),
        writeIndexes(bucket),
        readDocument(stack, RUN_DOCUMENT),
      ],
      timeout: Duration.seconds(READ_ARCHIVE_S),
      memory: READ_ARCHIVE_MEMORY_MIB,
    });
    this.findInstance = new StepLambda(this, 'find-instance', {
      config,
      description: 'Finds the instance that matches the spec, and its price; starts it if its tags allow that',
      environment: power,
      permissions: [
        describeInstances(),
        describeAgents(),
        readPrices(),
        startInstances(stack),
        readShutdownBehavior(stack),
        watchPower(stack),
      ],
      timeout: Duration.seconds(60),
    });
    this.syncCode = new StepLambda(this, 'sync-code', {
      ...jobStep,
      description: 'Acquires the lease and starts the job sync',
      environment: {
        ...jobStep.environment,
        stopFunction: STOP_FUNCTION,
        notifyFunction: NOTIFY_FUNCTION,
        longWait: String(config.waitingMinutes * 60),
      },
      permissions: [
        ...jobStep.permissions,
        ...readArchives(bucket, [UPLOAD_PREFIX, ARCHIVE_PREFIX, INDEX_PREFIX]),
        invokeFunction(stack, STOP_FUNCTION, NOTIFY_FUNCTION),
      ],
      timeout: TWO_POLLS,
    });
    this.installRequirements = new StepLambda(this, 'install-requirements', {
      ...jobStep,
      environment: { ...jobStep.environment, uploadBucket: bucket.bucketName },
      permissions: [...jobStep.permissions, ...carryLogChunks(bucket), ...restoreEnvironments(bucket)],
      description: 'Starts the job install',
    });
    this.restoreCheckpoint = new StepLambda(this, 'restore-checkpoint', {
      ...jobStep,
      environment: { ...jobStep.environment, uploadBucket: bucket.bucketName },
      permissions: [...jobStep.permissions, ...carryLogChunks(bucket), ...restoreCheckpoints(bucket)],
      description: 'Settles what an attempt goes on from, and starts the job restore',
    });
    this.startTraining = new StepLambda(this, 'start-training', {
      ...jobStep,
      description: 'Starts the job train',
    });
    this.confirmPid = new StepLambda(this, 'confirm-pid', {
      ...jobStep,
      environment: { ...jobStep.environment, notifyFunction: NOTIFY_FUNCTION },
      permissions: [...jobStep.permissions, invokeFunction(stack, NOTIFY_FUNCTION)],
      description: 'Polls once whether the training is running',
    });
    this.pollLogs = new StepLambda(this, 'poll-logs', {
      ...jobStep,
      description: 'Requests the status of a job and ships its log to CloudWatch',
      environment: { ...jobStep.environment, uploadBucket: bucket.bucketName },
      permissions: [
        ...jobStep.permissions,
        ...carryLogChunks(bucket),
        ...keepCheckpoints(bucket),
        storeEnvironments(bucket),
        measure(),
      ],
      memory: LOG_MEMORY,
    });
    this.checkInstance = new StepLambda(this, 'check-instance', {
      config,
      description: 'Asks EC2 about an instance that does not answer',
      environment: {},
      permissions: [describeInstances()],
      timeout: Duration.seconds(60),
    });
    this.planAttempt = new StepLambda(this, 'plan-attempt', {
      config,
      description: 'Decides whether another attempt follows, and finds its instance and its checkpoint',
      environment: { uploadBucket: bucket.bucketName, watchMachineArn: watchMachineArn(stack) },
      permissions: [
        describeInstances(),
        describeAgents(),
        readPrices(),
        ...readCheckpoints(bucket),
        readInterruptions(bucket),
        readWatches(stack),
      ],
      timeout: Duration.seconds(60),
    });
    const cleanUp = {
      config,
      environment: {
        ...jobStep.environment,
        uploadBucket: bucket.bucketName,
        watchMachineArn: watchMachineArn(stack),
        ...power,
      },
      permissions: [
        ...commands,
        watchPower(stack),
        ...carryLogChunks(bucket),
        ...keepRunFiles(bucket),
        joinOutputs(bucket),
        readHistories(stack),
      ],
      memory: LOG_MEMORY,
    };
    this.finishRun = new StepLambda(this, 'finish-run', {
      ...cleanUp,
      description: 'Uploads outputs and logs, releases the instance, and determines the outcome',
      timeout: END_RUN,
    });
    this.stopIfIdle = new StepLambda(this, 'stop-if-idle', {
      config,
      description: 'Stops a managed instance that nobody uses',
      environment: {},
      permissions: [
        ...commandInstances(stack, RUN_DOCUMENT),
        fetchProgram(stack, props.program.bucket),
        describeInstances(),
        stopInstances(stack),
      ],
      timeout: ONE_POLL,
    });
    this.stopRun = new StepLambda(this, 'stop-run', {
      ...cleanUp,
      description: 'Cleans up a run whose execution was aborted or timed out',
      environment: { ...cleanUp.environment, runMachineArn: runMachineArn(stack) },
      permissions: [...cleanUp.permissions, ...keepCheckpoints(bucket), stopWatches(stack)],
      timeout: STOP_RUN,
      deadLetters: props.deadLetters,
    });
  }
}
