import { Duration } from 'aws-cdk-lib';
import {
  Choice,
  Condition,
  Fail,
  type IChainable,
  IntegrationPattern,
  Pass,
  type StateMachine,
  Succeed,
  TaskInput,
  Timeout,
  Wait,
  WaitTime,
} from 'aws-cdk-lib/aws-stepfunctions';
import { type LambdaInvoke, StepFunctionsStartExecution } from 'aws-cdk-lib/aws-stepfunctions-tasks';
import { Construct } from 'constructs';
import type { JobName } from '../../core/names.ts';
import { JOBS, RUN_MACHINE } from '../../core/names.ts';
import { RUN_STATES } from '../../core/workflow/states.ts';
import type { StepLambda } from '../functions/step-lambda.ts';
import type { Steps } from '../functions/steps.ts';
import { createMachine } from './machine.ts';
import { catchAll, retryNested, STEP_CONTEXT, stepTask } from './tasks.ts';

/** 2,000 polls at 20 s take 11 hours; a watch that lasts a day has hung. */
const LONGEST_WATCH = Duration.hours(24);
/** 30 days in the queue, an install, 30 days of training, and the outputs (core/spec/schema.ts). */
const LONGEST_RUN = Duration.days(65);
const NULL = '{% null %}';
/** Variables that every state from Sync code on passes to its function. */
const RUN_VARIABLES = {
  run: '{% $run %}',
  spec: '{% $spec %}',
  archive: '{% $archive %}',
  warnings: '{% $warnings %}',
};
const EXECUTION = {
  name: '{% $states.context.Execution.Name %}',
  arn: '{% $states.context.Execution.Id %}',
  startedAt: '{% $states.context.Execution.StartTime %}',
};
/** The job is running, or has ended and has log left to ship. */
const inProgress = (job: JobName) =>
  Condition.jsonata(`{% $not($${job}.ended) and $not($${job}.state in ["busy", "refused", "absent"]) %}`);
/** A reboot or a kill ended it, and it has not been started again yet. */
const INTERRUPTED_INSTALL = Condition.jsonata(
  '{% $install.ended and $not($install.again = true) and ($install.state = "vanished" or ($install.state = "exited" and $install.exit.signal = "SIGTERM")) %}',
);
/** A reboot or a kill ended it, or its URLs had become too old; it has not been started again yet. */
const INTERRUPTED_RESTORE = Condition.jsonata(
  '{% $restore.ended and $not($restore.again = true) and ($restore.state = "vanished" or $restore.exit.signal = "SIGTERM" or $restore.result.error.name = "RestoreFailed") %}',
);
/** The instance is about to be stopped, or was: the run waits for its next boot. */
const STOPPING = Condition.jsonata('{% $sync.state = "refused" and $sync.reason = "stopping" %}');
/** Until EC2 says that it is stopping, if the instance said it first. */
const STOPPING_WAIT_S = 15;
const BEFORE_THE_INSTANCE: readonly string[] = [RUN_STATES.assemble, RUN_STATES.verify, RUN_STATES.find];
/** All that is known of a run: for the functions that decide what follows. */
const FACTS = {
  ...RUN_VARIABLES,
  instance: '{% $instance %}',
  ...Object.fromEntries(JOBS.map((job) => [job, `{% $${job} %}`])),
  attempts: '{% $attempts %}',
  failure: '{% $failure %}',
  watches: '{% $watches %}',
  execution: EXECUTION,
  context: STEP_CONTEXT,
};
/** Sync code is entered again and again in the queue; the last time is the one that got the instance. */
const HELD_SINCE = '{% $states.result.Payload.state = "busy" ? null : $states.context.State.EnteredTime %}';
const jobInput = (job: JobName) => ({
  ...(job === 'train' ? { install: '{% $install %}' } : {}),
  ...RUN_VARIABLES,
  instance: '{% $instance %}',
  heldSince: '{% $heldSince %}',
  step: `{% $${job} %}`,
  context: STEP_CONTEXT,
});
const ofPlan = (...names: readonly string[]) =>
  Object.fromEntries(names.map((name) => [name, `{% $states.result.Payload.${name} %}`]));
const endedWell = (job: JobName) => Condition.jsonata(`{% $${job}.ended and $${job}.ok %}`);

/** `runctl-run`: the workflow of a run. People see its state names in the console. */
export class RunMachine extends Construct {
  readonly machine: StateMachine;
  private readonly watch: StateMachine;
  private readonly finish: IChainable;
  /** Where a run goes that has reached its instance and did not end well. */
  private readonly plan: LambdaInvoke;
  private readonly synced: Choice;
  private readonly startTraining: LambdaInvoke;
  private readonly watchTraining: StepFunctionsStartExecution;

  constructor(scope: Construct, id: string, props: { steps: Steps; watch: StateMachine }) {
    super(scope, id);
    const { steps } = props;
    this.watch = props.watch;
    this.finish = this.createFinish(steps.finishRun);
    this.plan = this.createPlan(steps);
    this.synced = Choice.jsonata(this, RUN_STATES.synced);
    this.watchTraining = this.watchJob(RUN_STATES.watchTraining, 'train');
    this.startTraining = this.jobTask(
      RUN_STATES.start,
      'train',
      steps.startTraining,
      'Starts the script and returns its PID; of a script that has been started already, its state.',
    );
    this.createTrain(steps);
    const restore = this.createRestore(steps, this.startTraining);
    const install = this.createInstall(steps, restore);
    const sync = this.createSync(steps, install);
    this.plan.next(this.createDecision(sync));
    const find = this.createFind(steps, sync);
    const assemble = this.task(RUN_STATES.assemble, steps.assembleArchive, {
      comment:
        'Makes the archive from an earlier one and the patch that was uploaded; Verify archive reads it like any other.',
      input: { execution: EXECUTION, input: '{% $states.context.Execution.Input %}' },
      assign: { assembled: '{% $states.result.Payload %}' },
    });
    const verify = this.task(RUN_STATES.verify, steps.verifyArchive, {
      comment: 'Validates the run spec, pins the object version, and reads the archive once without extracting it.',
      input: {
        execution: EXECUTION,
        input: '{% $states.context.Execution.Input %}',
        assembled: '{% $assembled %}',
      },
      assign: {
        run: '{% $states.result.Payload.run %}',
        spec: '{% $states.result.Payload.spec %}',
        archive: '{% $states.result.Payload.archive %}',
        warnings: '{% $states.result.Payload.warnings %}',
      },
    });
    assemble.next(verify).next(find);
    this.machine = createMachine(this, 'Machine', {
      name: RUN_MACHINE,
      comment: 'Trains an uploaded archive on an EC2 instance over SSM',
      timeout: LONGEST_RUN,
      start: this.createBegin().next(
        Choice.jsonata(this, RUN_STATES.hasPatch)
          .when(Condition.jsonata('{% $exists($states.context.Execution.Input.patch) %}'), assemble)
          .otherwise(verify),
      ),
    });
  }

  private createBegin(): Pass {
    const names = [
      ...['run', 'spec', 'archive', 'assembled', 'instance', 'starting', 'heldSince'],
      ...['sync', 'install', 'restore', 'train'],
      ...['failure', 'plan', 'finish'],
    ];
    return Pass.jsonata(this, RUN_STATES.begin, {
      comment: 'Initializes every variable: Finish run reads all of them, however early the run failed.',
      assign: {
        ...Object.fromEntries(names.map((name) => [name, NULL])),
        warnings: '{% [] %}',
        attempts: '{% [] %}',
        watches: 0,
      },
    });
  }

  private createFind(steps: Steps, next: IChainable): IChainable {
    const find = this.task(RUN_STATES.find, steps.findInstance, {
      comment: 'Finds exactly one Linux instance whose SSM agent is online; starts it if its tags allow that.',
      input: { ...RUN_VARIABLES, starting: '{% $starting %}' },
      assign: {
        instance: '{% $exists($states.result.Payload.id) ? $states.result.Payload : null %}',
        starting: '{% $exists($states.result.Payload.starting) ? $states.result.Payload.starting : null %}',
      },
    });
    const wait = Wait.jsonata(this, RUN_STATES.starting, {
      comment: 'Waits until EC2 has started the instance and its SSM agent is online. The output says for what.',
      time: WaitTime.seconds(`{% $starting = null ? ${STOPPING_WAIT_S} : $starting.wait %}`),
      outputs: '{% $starting %}',
    }).next(find);
    this.synced.when(STOPPING, wait);
    find.next(
      Choice.jsonata(this, RUN_STATES.found).when(Condition.jsonata('{% $starting != null %}'), wait).otherwise(next),
    );
    return find;
  }

  private createSync(steps: Steps, next: IChainable): IChainable {
    const start = this.jobTask(
      RUN_STATES.sync,
      'sync',
      steps.syncCode,
      'Acquires the lease of the instance and extracts the code to <home>/<project>.',
    );
    const wait = Wait.jsonata(this, RUN_STATES.queue, {
      comment:
        'Waits in the queue, first come, first served. The output has the holder of the instance and the place in the queue.',
      time: WaitTime.seconds('{% $sync.wait %}'),
      outputs: '{% {"holder": $sync.holder, "queue": $sync.queue, "waiting": $sync.waiting} %}',
    }).next(start);
    const { synced } = this;
    synced
      .when(Condition.jsonata('{% $sync.state = "busy" and $sync.waiting.over = null %}'), wait)
      .when(Condition.jsonata('{% $sync.state = "busy" %}'), this.finish)
      .when(endedWell('sync'), next);
    synced.when(inProgress('sync'), this.watchJob(RUN_STATES.watchSync, 'sync').next(synced)).otherwise(this.plan);
    return start.next(synced);
  }

  private createInstall(steps: Steps, next: IChainable): IChainable {
    const start = this.jobTask(
      RUN_STATES.install,
      'install',
      steps.installRequirements,
      'Installs the requirements with uv, else with pip3 install --user.',
    );
    const installed = Choice.jsonata(this, RUN_STATES.installed).when(endedWell('install'), next);
    installed
      .when(inProgress('install'), this.watchJob(RUN_STATES.watchInstall, 'install').next(installed))
      .when(INTERRUPTED_INSTALL, start)
      .when(Condition.jsonata('{% $install.state = "refused" or $spec.install = "required" %}'), this.plan)
      .otherwise(next);
    return Choice.jsonata(this, RUN_STATES.hasRequirements)
      .when(Condition.jsonata('{% $archive.requirements != null %}'), start.next(installed))
      .otherwise(next);
  }

  private createRestore(steps: Steps, next: IChainable): IChainable {
    const start = this.task(RUN_STATES.restore, steps.restoreCheckpoint, {
      comment: 'Brings the checkpoint that the attempt goes on from to the instance, unless its files are there.',
      input: jobInput('restore'),
      assign: { run: '{% $states.result.Payload.run %}', restore: '{% $states.result.Payload.step %}' },
    });
    const restored = Choice.jsonata(this, RUN_STATES.restored)
      .when(Condition.jsonata('{% $restore = null %}'), next)
      .when(endedWell('restore'), next);
    restored
      .when(inProgress('restore'), this.watchJob(RUN_STATES.watchRestore, 'restore').next(restored))
      .when(INTERRUPTED_RESTORE, start)
      .otherwise(this.plan);
    start.next(restored);
    return Choice.jsonata(this, RUN_STATES.hasCheckpoint)
      .when(Condition.jsonata('{% $exists($run.resume) %}'), start)
      .otherwise(next);
  }

  private createPlan(steps: Steps): LambdaInvoke {
    const task = stepTask(this, RUN_STATES.plan, steps.planAttempt, {
      comment: 'Decides whether another attempt follows, and finds its instance and its checkpoint.',
      input: { ...FACTS, heldSince: '{% $heldSince %}', plan: '{% $plan %}' },
      assign: {
        ...ofPlan('plan', 'heldSince', 'warnings', 'sync', 'install', 'restore', 'train', 'failure', 'watches'),
        run: '{% $states.result.Payload.plan.run %}',
        instance: '{% $states.result.Payload.plan.instance %}',
        attempts: '{% $states.result.Payload.plan.attempts %}',
      },
    });
    // The outcome stays what it was.
    task.addCatch(this.finish, { errors: ['States.DataLimitExceeded'] });
    task.addCatch(this.finish, { errors: ['States.ALL'] });
    return task;
  }

  private createDecision(attempt: IChainable): IChainable {
    const wait = Wait.jsonata(this, RUN_STATES.returning, {
      comment: 'Waits for the instance, or for another one that the spec means.',
      time: WaitTime.seconds('{% $plan.wait %}'),
    }).next(this.plan);
    return Choice.jsonata(this, RUN_STATES.planned)
      .when(Condition.jsonata('{% $plan.next = "attempt" %}'), attempt)
      .when(Condition.jsonata('{% $plan.next = "start" and $sync.ok %}'), this.startTraining)
      .when(Condition.jsonata('{% $plan.next = "watch" %}'), this.watchTraining)
      .when(Condition.jsonata('{% $plan.next = "wait" %}'), wait)
      .otherwise(this.finish);
  }

  private createTrain(steps: Steps): void {
    const confirm = this.jobTask(
      RUN_STATES.confirm,
      'train',
      steps.confirmPid,
      'Polls once: the process is running, or has ended already.',
    );
    const watch = this.watchTraining;
    const training = Choice.jsonata(this, RUN_STATES.ended)
      .when(inProgress('train'), watch)
      .when(endedWell('train'), this.finish)
      .otherwise(this.plan);
    watch.next(training);
    const started = Choice.jsonata(this, RUN_STATES.started)
      .when(Condition.jsonata('{% $train.state in ["refused", "absent"] %}'), this.plan)
      .otherwise(confirm.next(training));
    this.startTraining.next(started);
  }

  private createFinish(finishRun: StepLambda): IChainable {
    const failed = Fail.jsonata(this, RUN_STATES.failed, {
      error: '{% $finish.error %}',
      cause: '{% $finish.cause %}',
      comment: 'docs/reference/errors.md explains the error; the cause is JSON.',
    });
    const task = stepTask(this, RUN_STATES.finish, finishRun, {
      comment: 'Uploads outputs and logs, releases the instance, and determines the outcome.',
      input: { ...FACTS, input: '{% $states.context.Execution.Input %}', finish: '{% $finish %}' },
      assign: { finish: '{% $states.result.Payload %}' },
    });
    const lost = Pass.jsonata(this, RUN_STATES.unknown, {
      comment: 'Finish run itself failed, so the outcome is internal.',
      assign: {
        finish: {
          error: 'Internal',
          cause:
            '{% $string({"outcome": "internal", "message": "Finish run: " & $failure.Error & ": " & $substring($failure.Cause, 0, 8000)}) %}',
        },
      },
    });
    catchAll(task, lost.next(failed));
    const wait = Wait.jsonata(this, RUN_STATES.outputs, {
      comment: 'Waits until remaining processes have ended and outputs are in S3.',
      time: WaitTime.seconds('{% $finish.wait %}'),
    }).next(task);
    const succeeded = Choice.jsonata(this, RUN_STATES.decided)
      .when(Condition.jsonata('{% $finish.wait != null %}'), wait)
      .when(Condition.jsonata('{% $finish.outcome = "succeeded" %}'), Succeed.jsonata(this, RUN_STATES.succeeded))
      .otherwise(failed);
    return task.next(succeeded);
  }

  private jobTask(name: string, job: JobName, step: StepLambda, comment: string) {
    return this.task(name, step, {
      comment,
      input: jobInput(job),
      assign: { [job]: '{% $states.result.Payload %}', ...(job === 'sync' ? { heldSince: HELD_SINCE } : {}) },
    });
  }

  private task(name: string, step: StepLambda, options: Parameters<typeof stepTask>[3]) {
    const task = stepTask(this, name, step, options);
    catchAll(task, BEFORE_THE_INSTANCE.includes(name) ? this.finish : this.plan);
    return task;
  }

  /** Runs the nested watch. Its name is equal on a retry, which then finds the running execution. */
  private watchJob(name: string, job: JobName): StepFunctionsStartExecution {
    const task = StepFunctionsStartExecution.jsonata(this, name, {
      comment: `Polls the job ${job} and ships its log, up to 2,000 polls in one execution.`,
      stateMachine: this.watch,
      integrationPattern: IntegrationPattern.RUN_JOB,
      name: '{% $run.key & "-" & $string($watches) %}',
      input: TaskInput.fromObject({ ...RUN_VARIABLES, instance: '{% $instance %}', step: `{% $${job} %}` }),
      associateWithParent: true,
      outputs: '{% $states.result.Output %}',
      assign: { [job]: '{% $states.result.Output %}', watches: '{% $watches + 1 %}' },
      taskTimeout: Timeout.duration(LONGEST_WATCH),
    });
    retryNested(task);
    catchAll(task, this.plan);
    return task;
  }
}
