import { InvokeCommand, LambdaClient, type LambdaClientConfig } from '@aws-sdk/client-lambda';
import { withAwsErrors } from './errors.ts';
import { CLIENT_SETTINGS } from './settings.ts';

export interface Functions {
  /** Hands an event to a function and does not wait for it: Lambda tries three times, then its dead-letter queue has it. */
  invokeLater(name: string, event: object): Promise<void>;
}

export function createFunctions(settings: LambdaClientConfig = {}): Functions {
  return functionsOver(new LambdaClient({ ...CLIENT_SETTINGS, ...settings }));
}

export function functionsOver(lambda: Pick<LambdaClient, 'send'>): Functions {
  return {
    async invokeLater(FunctionName, event) {
      const Payload = Buffer.from(JSON.stringify(event));
      const command = new InvokeCommand({ FunctionName, InvocationType: 'Event', Payload });
      await withAwsErrors(`lambda:InvokeFunction of ${FunctionName}`, lambda.send(command));
    },
  };
}
