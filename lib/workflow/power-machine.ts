import { Duration } from 'aws-cdk-lib';
import { Choice, Condition, Pass, type StateMachine, Succeed, Wait, WaitTime } from 'aws-cdk-lib/aws-stepfunctions';
import { Construct } from 'constructs';
import { POWER_MACHINE } from '../../core/names.ts';
import { POWER_STATES } from '../../core/workflow/states.ts';
import type { Steps } from '../functions/steps.ts';
import { createMachine } from './machine.ts';
import { catchAll, stepTask } from './tasks.ts';

/** Seconds after a look that failed: without permission, or while an AWS service is away. */
const AFTER_ERROR_S = 300;
/** A look takes nine events, and up to 15 more when it is retried, of the 25,000 that a history has. */
const MOST_LOOKS = 1_000;
/** A person who is logged in for so long stops the instance, or the next run begins another execution. */
const LONGEST = Duration.days(30);

/** `runctl-power`: waits after a run, or after the start of an instance for one, and stops the instance when nobody uses it. */
export class PowerMachine extends Construct {
  readonly machine: StateMachine;

  constructor(scope: Construct, id: string, steps: Pick<Steps, 'stopIfIdle'>) {
    super(scope, id);
    const begin = Pass.jsonata(this, POWER_STATES.begin, {
      assign: {
        input: '{% $states.input %}',
        wait: '{% $states.input.wait %}',
        looks: 0,
        failure: '{% null %}',
      },
    });
    const wait = Wait.jsonata(this, POWER_STATES.wait, { time: WaitTime.seconds('{% $wait %}') });
    const stop = stepTask(this, POWER_STATES.stop, steps.stopIfIdle, {
      comment:
        'Asks the instance, under the lock of its lease, whether anybody uses it, and stops it when nobody does.',
      input: Object.fromEntries([
        ...['run', 'project', 'user', 'instance', 'stopAfter'].map((key) => [key, `{% $input.${key} %}`]),
        ['startedAt', '{% $states.context.Execution.StartTime %}'],
      ]),
      assign: { wait: '{% $states.result.Payload.wait %}', looks: '{% $looks + 1 %}' },
    });
    const later = Pass.jsonata(this, POWER_STATES.failed, {
      comment: 'The look failed: what is not known counts as use.',
      assign: { wait: AFTER_ERROR_S, looks: '{% $looks + 1 %}' },
    });
    catchAll(stop, later);
    const decided = Choice.jsonata(this, POWER_STATES.decided)
      .when(
        Condition.jsonata(`{% $wait = null or $looks >= ${MOST_LOOKS} %}`),
        Succeed.jsonata(this, POWER_STATES.ended),
      )
      .otherwise(wait);
    later.next(decided);
    this.machine = createMachine(this, 'Machine', {
      name: POWER_MACHINE,
      comment: 'Stops a managed instance that nobody uses',
      timeout: LONGEST,
      start: begin.next(wait).next(stop).next(decided),
    });
  }
}
