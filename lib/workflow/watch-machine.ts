import {
  Choice,
  Condition,
  Fail,
  Pass,
  type StateMachine,
  Succeed,
  Wait,
  WaitTime,
} from 'aws-cdk-lib/aws-stepfunctions';
import { Construct } from 'constructs';
import { WATCH_MACHINE } from '../../core/names.ts';
import { POLLS_PER_WATCH } from '../../core/workflow/poll-timing.ts';
import { WATCH_STATES } from '../../core/workflow/states.ts';
import type { Steps } from '../functions/steps.ts';
import { createMachine } from './machine.ts';
import { catchAll, STEP_CONTEXT, stepTask } from './tasks.ts';

/** Polls one job until it ends, or until the execution's history is nearly full: Poll logs → Job ended? → Wait → Poll logs. */
export class WatchMachine extends Construct {
  readonly machine: StateMachine;

  constructor(scope: Construct, id: string, steps: Pick<Steps, 'pollLogs' | 'checkInstance'>) {
    super(scope, id);
    const begin = Pass.jsonata(this, WATCH_STATES.begin, {
      comment: 'The parent passes the run and the last snapshot of the job.',
      assign: { input: '{% $states.input %}', step: '{% $states.input.step %}', polls: 0, failure: '{% null %}' },
    });
    const input = {
      run: '{% $input.run %}',
      spec: '{% $input.spec %}',
      archive: '{% $input.archive %}',
      warnings: '{% $input.warnings %}',
      instance: '{% $input.instance %}',
      step: '{% $step %}',
      context: STEP_CONTEXT,
    };
    const poll = stepTask(this, WATCH_STATES.poll, steps.pollLogs, {
      comment: 'Requests the status of the job and ships its log to CloudWatch.',
      input,
      assign: { step: '{% $states.result.Payload %}', polls: '{% $polls + 1 %}' },
    });
    const wait = Wait.jsonata(this, WATCH_STATES.wait, { time: WaitTime.seconds('{% $step.wait %}') });
    const failed = Fail.jsonata(this, WATCH_STATES.failed, {
      error: '{% $failure.Error %}',
      cause: '{% $failure.Cause %}',
    });
    const check = stepTask(this, WATCH_STATES.check, steps.checkInstance, {
      comment: 'The instance did not answer: asks EC2 whether it is running.',
      input,
      assign: {},
    });
    catchAll(poll, failed);
    catchAll(check, failed);
    // Absent: the run's folder on the instance is gone, so polling again is of no use.
    const next = Choice.jsonata(this, WATCH_STATES.ended)
      .when(
        Condition.jsonata('{% $step.ended or $step.state = "absent" %}'),
        Succeed.jsonata(this, WATCH_STATES.jobEnded),
      )
      .when(Condition.jsonata('{% $step.silentSince != null %}'), check)
      .when(Condition.jsonata(`{% $polls >= ${POLLS_PER_WATCH} %}`), Succeed.jsonata(this, WATCH_STATES.handOver))
      .when(Condition.jsonata('{% $step.wait = 0 %}'), poll)
      .otherwise(wait.next(poll));
    check.next(wait);
    this.machine = createMachine(this, 'Machine', {
      name: WATCH_MACHINE,
      comment: 'Polls one job of a run until it ends',
      start: begin.next(poll).next(next),
    });
  }
}
