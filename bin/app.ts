import { join } from 'node:path';
import { App } from 'aws-cdk-lib';
import { addStack } from '../lib/app.ts';
import { bundleLambdas } from '../lib/functions/bundle.ts';

const app = new App();
const bundles = join(app.outdir, 'lambdas');
await bundleLambdas(bundles);
addStack(app, bundles);
