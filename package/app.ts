import { fileURLToPath } from 'node:url';
import { App } from 'aws-cdk-lib';
import { RunctlStack } from '../lib/stack.ts';

// The CDK app of the package, where the handlers are bundled already.
new RunctlStack(new App(), fileURLToPath(new URL('../dist/lambdas', import.meta.url)));
