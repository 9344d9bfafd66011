import { InvokeCommand, LambdaClient, type LambdaClientConfig } from '@aws-sdk/client-lambda';
import { CLIENT_SETTINGS, translate } from './aws-errors.ts';

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
      try {
        const Payload = Buffer.from(JSON.stringify(event));
        await lambda.send(new InvokeCommand({ FunctionName, InvocationType: 'Event', Payload }));
      } catch (error) {
        throw translate(error, `lambda:InvokeFunction of ${FunctionName}`);
      }
    },
  };
}
