import { join } from 'node:path';
import { App } from 'aws-cdk-lib';
import { bundleLambdas } from '../lib/functions/bundle.ts';
import { RunctlStack } from '../lib/stack.ts';

const app = new App();
new RunctlStack(app, await bundleLambdas(join(app.outdir, 'lambdas')));
