import { fileURLToPath } from 'node:url';
import { App } from 'aws-cdk-lib';
import { addStack } from '../lib/app.ts';

// The CDK app of a package, where the handlers are bundled already.
addStack(new App(), fileURLToPath(new URL('../dist/lambdas', import.meta.url)));
