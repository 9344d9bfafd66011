import { CfnOutput, RemovalPolicy, Stack } from 'aws-cdk-lib';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import { CfnDocument } from 'aws-cdk-lib/aws-ssm';
import type { Construct } from 'constructs';
import {
  JOB_DOCUMENT,
  OUTPUTS,
  PREPARE_DOCUMENT,
  PREPARE_FINISH_DOCUMENT,
  PREPARE_INSTALL_DOCUMENT,
  RUN_LOG_GROUP,
  STACK_NAME,
} from '../core/names.ts';
import { readConfig } from './config.ts';
import { Notifier } from './functions/notifier.ts';
import { RunCount } from './functions/run-count.ts';
import { Steps } from './functions/steps.ts';
import { stopEndedRuns } from './functions/stop-trigger.ts';
import { UploadTrigger } from './functions/upload-trigger.ts';
import { createManagedPolicies } from './iam/people.ts';
import { type DocumentContent, jobDocument, prepareDocument } from './instance/document.ts';
import { buildFinisher, buildInstaller, buildRunner } from './instance/program.ts';
import { createAlarms } from './observability/alarms.ts';
import { createDashboard } from './observability/dashboard.ts';
import { createDeadLetterQueue } from './observability/dead-letters.ts';
import { createNotificationTopic } from './observability/notifications.ts';
import { Schedules } from './storage/schedules.ts';
import { createUploadBucket } from './storage/upload-bucket.ts';
import { RunMachine } from './workflow/run-machine.ts';
import { WatchMachine } from './workflow/watch-machine.ts';

/** Everything that is deployed. While nothing runs, only the storage of the bucket and the logs costs money. */
export class RunctlStack extends Stack {
  /** @param bundles folder of the bundled handlers */
  constructor(scope: Construct, bundles: string) {
    super(scope, STACK_NAME, { description: 'runctl: trains uploaded code on your EC2 instance, over SSM alone' });
    const config = readConfig(this.node, bundles);
    const runner = buildRunner();
    const installer = buildInstaller();
    const finisher = buildFinisher();
    const documents = {
      [PREPARE_DOCUMENT]: prepareDocument(runner),
      [PREPARE_INSTALL_DOCUMENT]: prepareDocument(installer),
      [PREPARE_FINISH_DOCUMENT]: prepareDocument(finisher),
      [JOB_DOCUMENT]: jobDocument(),
    };
    if (config.local) this.templateOptions.metadata = { runctlDocuments: documents };
    else this.addDocuments(documents);

    const runLogs = new LogGroup(this, 'RunLogs', {
      logGroupName: RUN_LOG_GROUP,
      retention: config.logRetentionDays,
      // Not RETAIN: the name is fixed, and what a failed first deployment left would stop the next one.
      removalPolicy: RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
    });
    const bucket = createUploadBucket(this);
    const deadLetters = createDeadLetterQueue(this);
    const topic = createNotificationTopic(this, config.notifyEmails);
    const programs = { runner: runner.sha256, installer: installer.sha256, finisher: finisher.sha256 };
    const steps = new Steps(this, { config, bucket, deadLetters, ...programs });
    const watch = new WatchMachine(this, 'Watch', steps);
    const { machine } = new RunMachine(this, 'Run', { steps, watch: watch.machine });
    stopEndedRuns(this, { machine, stopRun: steps.stopRun, deadLetters });
    new UploadTrigger(this, { config, bucket, machine, deadLetters });
    new Notifier(this, { config, bucket, topic, deadLetters });
    new RunCount(this, { config, machine, deadLetters });
    const alarms = createAlarms(this, { deadLetters, topic, silentMinutes: config.silentMinutes });
    createDashboard(this, { machineArn: machine.stateMachineArn, deadLetters, alarms });
    const schedules = new Schedules(this, { schedules: config.schedules, machine, deadLetters });

    createManagedPolicies(this, { bucket, scheduleRoleArn: schedules.role.roleArn });
    const outputs: Record<keyof typeof OUTPUTS, string> = {
      machine: machine.stateMachineArn,
      bucket: bucket.bucketName,
      logGroup: runLogs.logGroupName,
      scheduleRole: schedules.role.roleArn,
      deadLetters: deadLetters.queueArn,
      notifications: topic.topicArn,
    };
    for (const [key, name] of Object.entries(OUTPUTS)) {
      new CfnOutput(this, name, { value: outputs[key as keyof typeof OUTPUTS] });
    }
  }

  private addDocuments(documents: Readonly<Record<string, DocumentContent>>): void {
    for (const [name, content] of Object.entries(documents)) {
      new CfnDocument(this, `Document-${name}`, {
        name,
        content,
        documentType: 'Command',
        documentFormat: 'JSON',
        targetType: '/AWS::EC2::Instance',
        updateMethod: 'NewVersion',
      });
    }
  }
}
