import assert from 'node:assert/strict';
import { removeImage } from '../cli/images/remove.ts';
import { again, oneInstance } from '../cli/instance/status.ts';
import { stopInstance } from '../cli/instance/stop.ts';
import type { Terminal } from '../cli/terminal/terminal.ts';
import { costOf } from '../core/cost/cost-cap.ts';
import { dollars, priceText, readSource } from '../core/cost/price.ts';
import { formatDuration } from '../core/units.ts';
import type { Claim } from './claim.ts';

const STOP_AFTER = { text: '1m', seconds: 60 };
/** The goal for the stop, and what EC2 takes to stop an instance. */
const STOP_MARGIN_S = 60 + 180;
const PRICE_AGE_MS = 3_600_000;
/** Of the estimate, which is rounded. */
const USD_PRECISION = 1e-5;
/** A bake takes several times as long as a run. */
const BAKE_MS = 90 * 60_000;

/** The claims print their evidence alone. */
const SILENT: Pick<Terminal, 'working' | 'print' | 'note' | 'json'> = {
  working: (_, work) => work(() => undefined),
  print: () => undefined,
  note: () => undefined,
  json: () => undefined,
};

/** Claims about prices, power and images. */
export const INSTANCE_CLAIMS: readonly Claim[] = [
  {
    name: 'price',
    statement:
      "A run reads the price of its instance from AWS, not from runctl's table; its cost is that price times the time that it had the instance.",
    onAwsOnly: true,
    minutes: { instance: 1 },
    async check(runs) {
      const run = await runs.waitForEnd(await runs.start(['lines', ''], { maxCost: 5 }));
      const { cost } = await runs.manifest(run);
      const instance = cost?.instance ?? null;
      assert.ok(instance, 'the manifest has no price');
      assert.ok(['pricing', 'spot-history'].includes(instance.source), `the price is from ${instance.source}`);
      assert.ok(Date.now() - Date.parse(instance.at) < PRICE_AGE_MS, `the price is of ${instance.at}`);
      assert.ok(Math.abs(instance.usd - costOf(instance, instance.seconds)) < USD_PRECISION, 'the arithmetic');
      return `${run.runId}: ${dollars(instance.usd)} at ${priceText({ ...instance, source: readSource(instance.source) })}`;
    },
  },
  {
    name: 'image',
    statement:
      'A bake makes an image on which a run installs nothing; the same packages again make none. The image is removed afterwards.',
    onAwsOnly: false,
    minutes: { instance: 0, others: 30 },
    missing: ({ launchTemplate }) =>
      launchTemplate === null ? 'it needs --launch-template lt-…, with the tag runctl=enabled' : null,
    async check(runs, { launchTemplate }) {
      const bake = () => runs.bake(launchTemplate ?? '', BAKE_MS);
      const first = await bake();
      try {
        assert.deepEqual([first.status, first.output.made], ['SUCCEEDED', true], first.error ?? 'the bake');
        const second = await bake();
        assert.deepEqual([second.output.made, second.output.image], [false, first.output.image], 'the second bake');
        return `${first.output.image}, and nothing for the same packages`;
      } finally {
        const { image } = first.output;
        if (image) await removeImage({ account: runs.account, terminal: SILENT }, image, { force: true, json: false });
      }
    },
  },
  {
    name: 'power',
    statement:
      'A run starts a stopped instance with the tag runctl:power=managed, and the instance is stopped after it. It stays stopped.',
    onAwsOnly: false,
    minutes: { instance: 6 },
    missing: ({ managed }) => (managed ? null : 'the instance has no tag runctl:power=managed'),
    async check(runs) {
      const { account, instanceId, signal } = runs;
      const instance = await oneInstance(account, { value: instanceId, from: '--instance' });
      await stopInstance(account, SILENT, instance, { signal });
      const run = await runs.waitForEnd(await runs.start(['lines', ''], { stopAfter: STOP_AFTER.text }));
      assert.equal(run.status, 'SUCCEEDED', run.error ?? 'the run');
      const endedAt = Date.now();
      await runs.waitFor(`the stop of ${instanceId}`, async () => {
        const { state } = await again(account, instance);
        return state === 'stopped' ? state : null;
      });
      const lasted = (Date.now() - endedAt) / 1_000;
      assert.ok(lasted <= STOP_AFTER.seconds + STOP_MARGIN_S, `it was stopped after ${formatDuration(lasted)}`);
      return `${run.runId} started it; stopped ${formatDuration(lasted)} after the run, with stopAfter ${STOP_AFTER.text}`;
    },
  },
];
