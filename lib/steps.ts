import { Duration, type Stack } from 'aws-cdk-lib';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';
import { JOB_DOCUMENT, PREPARE_DOCUMENT, PREPARE_INSTALL_DOCUMENT, RUN_LOG_GROUP } from '../core/names.ts';
import type { Config } from './config.ts';
import {
  commandInstances,
  describeAgents,
  describeInstances,
  describeRuns,
  readArchives,
  writeRunLogs,
} from './permissions.ts';
import { StepLambda } from './step-lambda.ts';

/** One look at an instance asks at most twice, 75 s each (lambdas/adapters/commands.ts), and then writes the log. */
const ONE_LOOK = Duration.seconds(180);
/** Sync code looks twice when the instance is busy. */
const TWO_LOOKS = Duration.seconds(330);
/** 500 MB of archive at 20 MB/s, the slowest that half a vCPU inflates and hashes. */
const READ_ARCHIVE = Duration.seconds(300);

/** The Lambda functions behind the states of runctl-run and runctl-watch, named as their states. */
export class Steps extends Construct {
  readonly verifyArchive: StepLambda;
  readonly findInstance: StepLambda;
  readonly syncCode: StepLambda;
  readonly installRequirements: StepLambda;
  readonly startTraining: StepLambda;
  readonly confirmPid: StepLambda;
  readonly pollLogs: StepLambda;
  readonly checkInstance: StepLambda;
  readonly finishRun: StepLambda;

  constructor(stack: Stack, props: { config: Config; bucket: Bucket; runnerSha256: string; installerSha256: string }) {
    super(stack, 'Steps');
    const { config, bucket } = props;
    const documents = {
      prepareDocument: PREPARE_DOCUMENT,
      prepareInstallDocument: PREPARE_INSTALL_DOCUMENT,
      jobDocument: JOB_DOCUMENT,
    };
    const jobStep = {
      config,
      environment: { ...documents, logGroup: RUN_LOG_GROUP },
      permissions: [...commandInstances(stack), ...writeRunLogs(stack)],
      timeout: ONE_LOOK,
    };
    this.verifyArchive = new StepLambda(this, 'verify-archive', {
      config,
      description: 'Checks the spec and reads the archive once, without extracting it',
      environment: {
        archiveCaps: JSON.stringify(config.archiveCaps),
        runnerSha256: props.runnerSha256,
        uploadBucket: bucket.bucketName,
      },
      permissions: readArchives(bucket),
      timeout: READ_ARCHIVE,
      memory: 512,
    });
    this.findInstance = new StepLambda(this, 'find-instance', {
      config,
      description: 'Finds the one running instance that the spec means',
      environment: {},
      permissions: [describeInstances(), describeAgents()],
      timeout: Duration.seconds(60),
    });
    this.syncCode = new StepLambda(this, 'sync-code', {
      ...jobStep,
      description: 'Takes the lease and starts the job sync',
      permissions: [...jobStep.permissions, ...readArchives(bucket), describeRuns(stack)],
      timeout: TWO_LOOKS,
    });
    this.installRequirements = new StepLambda(this, 'install-requirements', {
      ...jobStep,
      environment: { ...jobStep.environment, installerSha256: props.installerSha256 },
      description: 'Starts the job install',
    });
    this.startTraining = new StepLambda(this, 'start-training', { ...jobStep, description: 'Starts the job train' });
    this.confirmPid = new StepLambda(this, 'confirm-pid', {
      ...jobStep,
      description: 'Looks once whether the training lives',
    });
    this.pollLogs = new StepLambda(this, 'poll-logs', {
      ...jobStep,
      description: 'Asks how a job stands and ships its log to CloudWatch',
    });
    this.checkInstance = new StepLambda(this, 'check-instance', {
      config,
      description: 'Asks EC2 about an instance that does not answer',
      environment: {},
      permissions: [describeInstances()],
      timeout: Duration.seconds(60),
    });
    this.finishRun = new StepLambda(this, 'finish-run', {
      config,
      description: 'Releases the instance and says how the run ended',
      environment: documents,
      permissions: commandInstances(stack),
      timeout: ONE_LOOK,
    });
  }
}
