import { afterAll } from 'vitest';
import { leaveInstances } from './own-instance.ts';

// One of the project's setupFiles: the hook stands in every test file of it.
afterAll(leaveInstances);
