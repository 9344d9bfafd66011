#!/usr/bin/env node
import { register } from 'tsx/esm/api';

// Says every day that Node 22 will be needed in 2027; the README says it once.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true';
register();
await import('./main.ts');
