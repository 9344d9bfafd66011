import { afterAll } from 'vitest';
import { leaveInstances } from './own-instance.ts';

// One of the project's setupFiles, so that the hook applies to each of its test files.
afterAll(leaveInstances);
