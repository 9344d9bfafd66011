import type { Commands } from './commands.ts';
import type { Documents } from './documents.ts';
import type { Faults } from './faults.ts';
import { instanceInformation } from './instance-information.ts';
import type { ListInstances } from './instances.ts';

export interface ServiceParts {
  readonly commands: Commands;
  readonly documents: Documents;
  readonly faults: Faults;
  readonly instances: ListInstances;
}

export interface Answer {
  readonly answer: object;
  /** Close the connection instead of answering. */
  readonly answerLost?: boolean;
}

/** The operations that the agent answers, by name. All others are forwarded to the emulator. */
export function operations({ commands, documents, faults, instances }: ServiceParts) {
  return new Map<string, (input: unknown) => Promise<Answer>>([
    ['SendCommand', (input) => commands.send(input)],
    ['GetCommandInvocation', async (input) => ({ answer: commands.getInvocation(input) })],
    ['ListCommandInvocations', async (input) => ({ answer: commands.listInvocations(input) })],
    ['ListCommands', async (input) => ({ answer: commands.list(input) })],
    ['CancelCommand', async (input) => ({ answer: commands.cancel(input) })],
    [
      'DescribeInstanceInformation',
      async (input) => ({ answer: instanceInformation(input, await instances(), faults) }),
    ],
    ['CreateDocument', async (input) => ({ answer: documents.create(input) })],
    ['UpdateDocument', async (input) => ({ answer: documents.update(input) })],
    ['UpdateDocumentDefaultVersion', async (input) => ({ answer: documents.updateDefaultVersion(input) })],
    ['DescribeDocument', async (input) => ({ answer: documents.describe(input) })],
    ['GetDocument', async (input) => ({ answer: documents.get(input) })],
    ['DeleteDocument', async (input) => ({ answer: documents.delete(input) })],
    ['ListDocuments', async () => ({ answer: documents.list() })],
  ]);
}
