import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** aws-cdk-lib keeps fingerprints of assets under the home folder: ours, not the person's. */
const HOME = fileURLToPath(new URL('.runctl/cache/home', import.meta.url));

/** Workers for tests that wait most of their time, for processes or for the cloud. */
const WAITING = Math.max(5, availableParallelism());

export default defineConfig({
  test: {
    reporters: ['default', './test/support/closing-line.ts'],
    // Node 20.20 must do; the SDK's reminder about 2027 would stand between the results.
    env: { AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' },
    // `npm run coverage`: what the unit tests reach of the command line; end-to-end tests run it as a process of its own.
    coverage: { include: ['cli/**/*.ts'], reporter: ['text', 'html'], reportsDirectory: 'coverage' },
    projects: [
      {
        test: {
          name: 'unit',
          env: { HOME },
          include: ['test/{unit,contract}/**/*.test.ts'],
          maxWorkers: 1 + availableParallelism(),
          // Modules are loaded once for each worker, not for each file: a third less CPU time.
          isolate: false,
          sequence: { groupOrder: 1 },
          setupFiles: ['test/support/seed.ts'],
          testTimeout: 60_000,
        },
      },
      {
        // Real processes: the runner, the local SSM agent.
        test: {
          name: 'processes',
          include: ['test/processes/**/*.test.ts'],
          maxWorkers: WAITING,
          isolate: false,
          setupFiles: ['test/support/seed.ts'],
          testTimeout: 300_000,
          hookTimeout: 120_000,
        },
      },
      {
        // Seeded schedules of faults; `npm run soak` plays more of them.
        test: {
          name: 'soak',
          env: { HOME },
          include: ['test/soak/**/*.test.ts'],
          testTimeout: 600_000,
          hookTimeout: 120_000,
          // After all others, with the whole machine: it keeps every core busy by itself.
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
      {
        // One local cloud, shared by every file of the project; each file has an instance of its own in it (test/support/cloud/own-instance.ts).
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          maxWorkers: WAITING,
          isolate: false,
          globalSetup: ['test/support/cloud/global-setup.ts'],
          setupFiles: ['test/support/cloud/leave-instances.ts'],
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});
