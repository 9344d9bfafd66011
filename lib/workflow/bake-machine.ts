import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Duration, Stack } from 'aws-cdk-lib';
import {
  Choice,
  Condition,
  Fail,
  type IChainable,
  IntegrationPattern,
  type IStateMachine,
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
import { BAKE_MACHINE } from '../../core/names.ts';
import { BAKE_STATES } from '../../core/workflow/states.ts';
import type { ImageSteps } from '../functions/image-steps.ts';
import type { StepLambda } from '../functions/step-lambda.ts';
import { terminateBuilders } from '../iam/images.ts';
import { toStatement } from '../iam/permission.ts';
import { createMachine } from './machine.ts';
import { catchAll, retryNested, stepTask } from './tasks.ts';
import { terminateLeft } from './terminate-left.ts';

const WARM = fileURLToPath(new URL('../../instance/warm.py', import.meta.url));
/** Of a run on the builder or on the test instance: install and training have limits of their own. */
const LONGEST_RUN = Duration.hours(12);
/** What the runs of a bake are asked, whatever the project's runctl.yaml says: only the packages matter. */
const OF_A_BAKE = {
  args: [],
  outputs: [],
  install: 'required',
  checkpoints: false,
  resume: 'never',
  ifBusy: 'refuse',
  maxDuration: '2h',
};
const EXECUTION = {
  name: '{% $states.context.Execution.Name %}',
  arn: '{% $states.context.Execution.Id %}',
  startedAt: '{% $states.context.Execution.StartTime %}',
};

interface Props {
  readonly steps: ImageSteps;
  /** runctl-run. */
  readonly run: IStateMachine;
}

/** `runctl-bake`: installs a project on a builder as a run does, makes an image of it, tests the image, and publishes it. */
export class BakeMachine extends Construct {
  readonly machine: StateMachine;
  private readonly cleanUp: LambdaInvoke;
  private readonly steps: ImageSteps;
  private readonly run: IStateMachine;
  private readonly end: IChainable;

  constructor(scope: Construct, id: string, { steps, run }: Props) {
    super(scope, id);
    this.steps = steps;
    this.run = run;
    this.cleanUp = this.createCleanUp();
    this.end = this.createEnd();
    const begin = Pass.jsonata(this, BAKE_STATES.begin, {
      assign: {
        input: '{% $states.input %}',
        bake: '{% null %}',
        waiting: '{% null %}',
        failure: '{% null %}',
        warm: `{% ${JSON.stringify(warmProgram())} %}`,
      },
    });
    this.machine = createMachine(this, 'Machine', {
      name: BAKE_MACHINE,
      comment: "Makes images with a project's packages",
      start: begin.next(this.createPrepare(this.createSteps())),
    });
    // Of terminateLeft; the other calls bring their permissions.
    this.machine.addToRolePolicy(toStatement(terminateBuilders(Stack.of(this))));
  }

  private createPrepare(next: IChainable): IChainable {
    const prepare = stepTask(this, BAKE_STATES.prepare, this.steps.prepareImage, {
      comment: 'Reads the archive for what an install depends on, and looks for an image with these packages.',
      input: { execution: EXECUTION, input: '{% $input %}' },
      assign: { bake: '{% $states.result.Payload %}' },
    });
    catchAll(prepare, this.cleanUp);
    return prepare.next(
      Choice.jsonata(this, BAKE_STATES.exists).when(Condition.jsonata('{% $bake.exists %}'), this.end).otherwise(next),
    );
  }

  private createSteps(): IChainable {
    const { startImageInstance, scrubBuilder, createImage, publishImage } = this.steps;
    const publish = stepTask(this, BAKE_STATES.publish, publishImage, {
      comment: 'Checks that nothing was left to install, makes the image the current one, and removes older ones.',
      input: { bake: '{% $bake %}', waiting: '{% $waiting %}' },
      assign: { bake: '{% $states.result.Payload.bake %}' },
    });
    catchAll(publish, this.cleanUp);
    publish.next(this.end);
    const test = this.createRun(BAKE_STATES.test, 'test', 'tester', publish);
    const startTest = this.visited(
      [BAKE_STATES.startTest, BAKE_STATES.testReady, BAKE_STATES.startingTest],
      startImageInstance,
      { which: 'tester' },
      test,
    );
    const create = this.visited(
      [BAKE_STATES.create, BAKE_STATES.created, BAKE_STATES.creating],
      createImage,
      {},
      startTest,
    );
    const scrub = this.visited(
      [BAKE_STATES.scrub, BAKE_STATES.scrubbed, BAKE_STATES.scrubbing],
      scrubBuilder,
      { execution: EXECUTION },
      create,
    );
    const build = this.createRun(BAKE_STATES.build, 'build', 'builder', scrub);
    return this.visited(
      [BAKE_STATES.start, BAKE_STATES.started, BAKE_STATES.starting],
      startImageInstance,
      { which: 'builder' },
      build,
    );
  }

  /** A state that is visited until it has nothing to wait for. */
  private visited(
    [name, decided, waits]: readonly [string, string, string],
    step: StepLambda,
    more: Record<string, unknown>,
    next: IChainable,
  ): IChainable {
    const task = stepTask(this, name, step, {
      comment: step.description,
      input: { bake: '{% $bake %}', waiting: '{% $waiting %}', ...more },
      assign: { bake: '{% $states.result.Payload.bake %}', waiting: '{% $states.result.Payload.waiting %}' },
    });
    catchAll(task, this.cleanUp);
    const wait = Wait.jsonata(this, waits, {
      time: WaitTime.seconds('{% $waiting.wait %}'),
      outputs: '{% {"message": $waiting.message} %}',
    });
    wait.next(task);
    return task.next(
      Choice.jsonata(this, decided).when(Condition.jsonata('{% $waiting != null %}'), wait).otherwise(next),
    );
  }

  /** A run of runctl-run on an instance of the bake. Its name is equal on a retry, which then finds the running execution. */
  private createRun(name: string, run: string, which: 'builder' | 'tester', next: IChainable): IChainable {
    const own = { ...OF_A_BAKE, name: `image: ${run}` };
    const task = StepFunctionsStartExecution.jsonata(this, name, {
      comment: 'Installs the project as a run does, and imports its packages in place of a training.',
      stateMachine: this.run,
      integrationPattern: IntegrationPattern.RUN_JOB,
      name: `{% $bake.name & "-${run}" %}`,
      input: TaskInput.fromText(
        `{% $merge([$bake.run, ${JSON.stringify(own)}, {"instance": $bake.${which}, "command": ["python", "-c", $warm]}]) %}`,
      ),
      outputs: '{% {} %}',
      assign: { waiting: '{% null %}' },
      taskTimeout: Timeout.duration(LONGEST_RUN),
    });
    retryNested(task);
    catchAll(task, this.cleanUp);
    return task.next(next);
  }

  /** A Pass has the output: MiniStack knows none of Succeed. */
  private createEnd(): IChainable {
    const describe = Pass.jsonata(this, BAKE_STATES.describe, {
      outputs:
        '{% {"image": $bake.image, "key": $bake.key, "project": $bake.project, "base": $bake.base, "made": $not($bake.exists)} %}',
    });
    return describe.next(Succeed.jsonata(this, BAKE_STATES.succeeded));
  }

  private createCleanUp(): LambdaInvoke {
    const task = stepTask(this, BAKE_STATES.cleanUp, this.steps.cleanUpBake, {
      comment: 'Terminates the instances of the bake, and removes its image.',
      input: { execution: EXECUTION, failure: '{% $failure %}' },
      assign: { failure: '{% {"Error": $states.result.Payload.error, "Cause": $states.result.Payload.cause} %}' },
    });
    const failed = Fail.jsonata(this, BAKE_STATES.failed, {
      error: '{% $failure.Error %}',
      cause: '{% $failure.Cause %}',
      comment: 'docs/reference/errors.md explains the error; the cause is JSON.',
    });
    const lost = Pass.jsonata(this, BAKE_STATES.lost, {
      comment:
        'What the bake made may still be there: images, and instances that are not terminated, with its tag runctl:bake.',
    });
    lost.next(failed);
    catchAll(task, terminateLeft(this, EXECUTION.name, lost));
    task.next(failed);
    return task;
  }
}

/** The program that imports packages, as short as comments and blank lines let it be. */
function warmProgram(): string {
  return readFileSync(WARM, 'utf8')
    .split('\n')
    .filter((line) => !/^\s*(#.*)?$/.test(line))
    .join('\n');
}
