import type { App } from 'aws-cdk-lib';
import { InvalidContext } from './config.ts';
import { RunctlStack } from './stack.ts';

/** Exit code that tells whoever started the app that its standard error is a message for a person. */
const MISTAKE = 2;

/** Adds the stack to the app. A mistake in the context ends the process with the message alone. */
export function addStack(app: App, bundles: string): void {
  try {
    new RunctlStack(app, bundles);
  } catch (error) {
    if (!(error instanceof InvalidContext)) throw error;
    console.error(error.message);
    process.exit(MISTAKE); // at once: the app would write half a stack
  }
}
