import type { StepResult } from './executor.ts';
import type { Command, Invocation, Status } from './invocation.ts';
import { apiOutput } from './output.ts';
import { ServiceError } from './service-error.ts';

// Commands and invocations as the API returns them. Times are epoch seconds, in GetCommandInvocation ISO 8601.

export function commandOutput(command: Command, invocations: readonly Invocation[]) {
  const status = overall(invocations);
  return {
    CommandId: command.id,
    DocumentName: command.documentName,
    DocumentVersion: command.documentVersion,
    Comment: command.comment,
    ExpiresAfter: command.requestedAt.getTime() / 1_000 + command.timeoutSeconds,
    Parameters: command.parameters,
    InstanceIds: invocations.map((one) => one.instanceId),
    Targets: [],
    RequestedDateTime: command.requestedAt.getTime() / 1_000,
    Status: status,
    StatusDetails: status,
    TimeoutSeconds: command.timeoutSeconds,
    MaxConcurrency: '50',
    MaxErrors: '0',
    TargetCount: invocations.length,
    CompletedCount: invocations.filter((one) => one.ended).length,
    ErrorCount: invocations.filter((one) => one.status === 'Failed').length,
    DeliveryTimedOutCount: invocations.filter((one) => one.details === 'Delivery Timed Out').length,
  };
}

function overall(invocations: readonly Invocation[]): Status {
  for (const status of ['Cancelling', 'InProgress', 'Pending', 'Failed', 'TimedOut', 'Cancelled'] as const) {
    if (invocations.some((one) => one.status === status)) return status;
  }
  return 'Success';
}

/** GetCommandInvocation. @throws ServiceError InvalidPluginName. */
export function invocationOutput(invocation: Invocation, pluginName: string | undefined) {
  const { command } = invocation;
  const name = pluginName ?? command.content.mainSteps[0]?.name ?? '';
  if (
    !command.content.mainSteps.some((step) => step.name === name) ||
    (pluginName === undefined && command.content.mainSteps.length > 1)
  ) {
    throw new ServiceError('InvalidPluginName', 'Give the name of the step whose result to return as PluginName.');
  }
  const step = invocation.ended ? invocation.steps.find((one) => one.step === name) : undefined;
  return {
    CommandId: command.id,
    InstanceId: invocation.instanceId,
    Comment: command.comment,
    DocumentName: command.documentName,
    DocumentVersion: command.documentVersion,
    PluginName: name,
    ResponseCode: step?.code ?? -1,
    ExecutionStartDateTime: step?.startedAt.toISOString() ?? '',
    ExecutionElapsedTime: step === undefined ? '' : elapsed(step),
    ExecutionEndDateTime: step?.endedAt.toISOString() ?? '',
    Status: invocation.status,
    StatusDetails: invocation.details,
    StandardOutputContent: apiOutput.stdout(step?.stdout ?? ''),
    StandardOutputUrl: '',
    StandardErrorContent: apiOutput.stderr(step?.stderr ?? ''),
    StandardErrorUrl: '',
    CloudWatchOutputConfig: { CloudWatchLogGroupName: '', CloudWatchOutputEnabled: false },
  };
}

function elapsed(step: StepResult): string {
  return `PT${((step.endedAt.getTime() - step.startedAt.getTime()) / 1_000).toFixed(3)}S`;
}

/** One entry of ListCommandInvocations. */
export function listedInvocation(invocation: Invocation, details: boolean) {
  const { command } = invocation;
  return {
    CommandId: command.id,
    InstanceId: invocation.instanceId,
    InstanceName: '',
    Comment: command.comment,
    DocumentName: command.documentName,
    DocumentVersion: command.documentVersion,
    RequestedDateTime: command.requestedAt.getTime() / 1_000,
    Status: invocation.status,
    StatusDetails: invocation.details,
    StandardOutputUrl: '',
    StandardErrorUrl: '',
    CommandPlugins: details && invocation.ended ? invocation.steps.map((step) => listedStep(step)) : [],
  };
}

function listedStep(step: StepResult) {
  return {
    Name: step.step,
    Status: step.status,
    StatusDetails: step.status,
    ResponseCode: step.code ?? -1,
    ResponseStartDateTime: step.startedAt.getTime() / 1_000,
    ResponseFinishDateTime: step.endedAt.getTime() / 1_000,
    Output: apiOutput.listed(step.stdout, step.stderr),
    StandardOutputUrl: '',
    StandardErrorUrl: '',
  };
}
