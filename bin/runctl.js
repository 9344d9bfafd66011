#!/usr/bin/env node
import { existsSync } from 'node:fs';

// A package has the bundle alone. A checkout has its sources, and bundles them when they have changed.
const development = new URL('development.js', import.meta.url);
await import(existsSync(development) ? development : './installed.js');
