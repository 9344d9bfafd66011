import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CfnOutput, DefaultStackSynthesizer, type IStackSynthesizer, RemovalPolicy, Stack, Stage } from 'aws-cdk-lib';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import { Asset } from 'aws-cdk-lib/aws-s3-assets';
import { CfnDocument } from 'aws-cdk-lib/aws-ssm';
import type { Construct } from 'constructs';
import {
  ASSET_PREFIX,
  LOOK_DOCUMENT,
  OUTPUTS,
  programUri,
  RUN_DOCUMENT,
  RUN_LOG_GROUP,
  STACK_NAME,
  VERBS_FOR_PEOPLE,
} from '../core/names.ts';
import { type Config, readConfig } from './config.ts';
import { ArchiveExpiry } from './functions/archive-expiry.ts';
import { ImageSteps } from './functions/image-steps.ts';
import { InterruptionRule } from './functions/interruption-rule.ts';
import { Notifier } from './functions/notifier.ts';
import { RunCount } from './functions/run-count.ts';
import { Steps } from './functions/steps.ts';
import { cleanUpEnded } from './functions/stop-trigger.ts';
import { Summarizer } from './functions/summarizer.ts';
import { UploadTrigger } from './functions/upload-trigger.ts';
import { createManagedPolicies } from './iam/people.ts';
import { type DocumentContent, documentOf } from './instance/document.ts';
import { buildProgram, type Program } from './instance/program.ts';
import { createAlarms } from './observability/alarms.ts';
import { createDashboard } from './observability/dashboard.ts';
import { createDeadLetterQueue } from './observability/dead-letters.ts';
import { createNotificationTopic } from './observability/notifications.ts';
import { Schedules } from './storage/schedules.ts';
import { createUploadBucket } from './storage/upload-bucket.ts';
import { BakeMachine } from './workflow/bake-machine.ts';
import { PowerMachine } from './workflow/power-machine.ts';
import { RunMachine } from './workflow/run-machine.ts';
import { WatchMachine } from './workflow/watch-machine.ts';

/** Everything that is deployed. While nothing runs, only the storage of the bucket and the logs costs money. */
export class RunctlStack extends Stack {
  /** @param bundles folder of the bundled handlers */
  constructor(scope: Construct, bundles: string) {
    super(scope, STACK_NAME, {
      description: 'runctl: trains uploaded code on your EC2 instance, over SSM alone',
      // A prefix of our own, so that roles can read these assets alone.
      synthesizer: new DefaultStackSynthesizer({ bucketPrefix: ASSET_PREFIX }) as IStackSynthesizer,
    });
    const config = readConfig(this.node, bundles);
    const program = buildProgram();
    const stored = { ...this.store(program), sha256: program.sha256 };
    const documents = this.addDocuments(config, {
      [RUN_DOCUMENT]: documentOf(program.sha256, null),
      [LOOK_DOCUMENT]: documentOf(program.sha256, VERBS_FOR_PEOPLE),
    });

    const runLogs = new LogGroup(this, 'RunLogs', {
      logGroupName: RUN_LOG_GROUP,
      retention: config.logRetentionDays,
      // Not RETAIN: the name is fixed, and what a failed first deployment left would stop the next one.
      removalPolicy: RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
    });
    const bucket = createUploadBucket(this);
    // Of what starts runs, cleans up after them, and notifies about them.
    const deadLetters = createDeadLetterQueue(this, 'DeadLetters');
    // Of what only makes files of a run that has its results: no reason to wake anybody.
    const summaryDeadLetters = createDeadLetterQueue(this, 'SummaryDeadLetters');
    const topic = createNotificationTopic(this, config.notifyEmails);
    const steps = new Steps(this, { config, bucket, deadLetters, program: stored });
    // A function names the document's version that runs its program, so that version exists before it.
    steps.node.addDependency(...documents);
    const watch = new WatchMachine(this, 'Watch', steps);
    new PowerMachine(this, 'Power', steps);
    const { machine } = new RunMachine(this, 'Run', { steps, watch: watch.machine });
    cleanUpEnded(this, 'StopRule', { what: 'runs', machine, step: steps.stopRun, deadLetters });
    const imageSteps = new ImageSteps(this, { config, bucket, deadLetters, program: stored });
    imageSteps.node.addDependency(...documents);
    const bakes = new BakeMachine(this, 'Bake', { steps: imageSteps, run: machine });
    cleanUpEnded(this, 'BakeRule', {
      what: 'bakes',
      machine: bakes.machine,
      step: imageSteps.cleanUpBake,
      deadLetters,
    });
    const uploads = new UploadTrigger(this, { config, bucket, machine, deadLetters });
    new Notifier(this, { config, bucket, topic, deadLetters });
    new Summarizer(this, { config, bucket, deadLetters: summaryDeadLetters });
    new ArchiveExpiry(this, { config, bucket, deadLetters });
    new InterruptionRule(this, { config, bucket, deadLetters });
    new RunCount(this, { config, machine, deadLetters });
    const alarms = createAlarms(this, {
      deadLetters,
      summaryDeadLetters,
      topic,
      silentMinutes: config.silentMinutes,
    });
    createDashboard(this, { machineArn: machine.stateMachineArn, deadLetters, summaryDeadLetters, alarms });
    const schedules = new Schedules(this, {
      schedules: config.schedules,
      machine,
      startRun: uploads.startRun.function,
      deadLetters,
    });

    createManagedPolicies(this, { bucket, assetBucket: stored.bucket, scheduleRoleArn: schedules.role.roleArn });
    const outputs: Record<keyof typeof OUTPUTS, string> = {
      machine: machine.stateMachineArn,
      bakeMachine: bakes.machine.stateMachineArn,
      bucket: bucket.bucketName,
      logGroup: runLogs.logGroupName,
      scheduleRole: schedules.role.roleArn,
      startFunction: uploads.startRun.function.functionArn,
      deadLetters: deadLetters.queueArn,
      summaryDeadLetters: summaryDeadLetters.queueArn,
      notifications: topic.topicArn,
      program: programUri(stored),
    };
    for (const [key, name] of Object.entries(OUTPUTS)) {
      new CfnOutput(this, name, { value: outputs[key as keyof typeof OUTPUTS] });
    }
  }

  /** Adds the program to the stack's assets. A key is never written again with other bytes, so older programs stay. */
  private store({ bytes, sha256 }: Program): { bucket: string; key: string } {
    const path = join(Stage.of(this)?.outdir ?? '', 'runctl-program.zip');
    writeFileSync(path, bytes);
    const { s3BucketName, s3ObjectKey } = new Asset(this, 'Program', { path, assetHash: sha256 });
    return { bucket: s3BucketName, key: s3ObjectKey };
  }

  private addDocuments(config: Config, documents: Readonly<Record<string, DocumentContent>>): CfnDocument[] {
    if (config.local) {
      this.templateOptions.metadata = { runctlDocuments: documents };
      return [];
    }
    return Object.entries(documents).map(
      ([name, content]) =>
        new CfnDocument(this, `Document-${name}`, {
          name,
          content,
          documentType: 'Command',
          documentFormat: 'JSON',
          targetType: '/AWS::EC2::Instance',
          updateMethod: 'NewVersion',
        }),
    );
  }
}
