import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { resultFilesOver } from '../../../aws/result-files.ts';
import { MANIFEST, runFileKey } from '../../../core/names.ts';
import { READ_LOG_S } from '../../../core/results/caps.ts';
import { LOG_FILE, METRICS_FILE, REPORT_FILE, SUMMARY_FILE, USAGE_FILE } from '../../../core/results/files.ts';
import { readSummary } from '../../../core/results/summary-schema.ts';
import { logger } from '../../../lambdas/adapters/logger.ts';
import { createSummarizeRun } from '../../../lambdas/summarize-run.ts';
import { spiedS3 } from '../../support/fakes/memory-aws.ts';
import { endedRun, RUN_ID, SAMPLE_LOG, STARTED_AT, sha256 } from '../../support/fakes/run-results.ts';
import { elements } from '../../support/markup.ts';

logger.setLogLevel('SILENT');
const key = (name: string) => runFileKey(RUN_ID, name);
const written = (name = key(MANIFEST)) => ({ detail: { object: { key: name } } });

/** @param times that the clock shows, one after another; the last one for ever */
function rig(objects = endedRun(), times: readonly number[] = [0]) {
  const { client, sent } = spiedS3(objects);
  const left = [...times];
  const now = () => (left.length > 1 ? left.shift() : left[0]) ?? 0;
  const summarize = createSummarizeRun({ filesOf: resultFilesOver(client, 'bucket'), now });
  const text = (name: string) => Buffer.from(objects.get(key(name)) ?? '').toString('utf8');
  return {
    ...{ objects, sent, summarize, text },
    summary: () => readSummary(text(SUMMARY_FILE)),
    lines: () => gunzipSync(objects.get(key(METRICS_FILE)) ?? '').toString('utf8'),
  };
}

describe('summarize-run', () => {
  it('stores all points of the log and of files, in the order of their steps', async () => {
    const { summarize, lines } = rig();
    expect(await summarize(written())).toEqual({ points: 10 });
    expect(lines()).toBe(
      [
        '{"name":"loss","step":1,"value":0.5,"attempt":1}',
        '{"name":"loss","step":2,"value":0.25,"attempt":1}',
        '{"name":"loss","step":3,"value":null,"gap":"nan","attempt":1}',
        '{"name":"loss","step":4,"value":null,"gap":"nan","attempt":1}',
        '{"name":"acc","step":1,"value":0.7,"attempt":1}',
        '{"name":"acc","step":2,"value":0.85,"attempt":1}',
        '{"name":"acc","step":3,"value":0.9,"attempt":1}',
        '{"name":"acc","step":4,"value":1,"attempt":1}',
        '{"name":"lr","step":1,"value":0.1,"attempt":1}',
        '{"name":"lr","step":2,"value":null,"gap":"inf","attempt":1}',
        '',
      ].join('\n'),
    );
  });

  it('stores a summary of each metric, and what the other files are', async () => {
    const { summarize, summary, objects } = rig();
    await summarize(written());
    expect(summary()).toEqual({
      version: 1,
      run: { id: RUN_ID, startedAt: STARTED_AT },
      log: { bytes: SAMPLE_LOG.length, isWhole: true, skippedLines: 0 },
      filePoints: 3,
      hasMoreSeries: false,
      metrics: { key: key(METRICS_FILE), ...stored(objects, METRICS_FILE), points: 10 },
      report: { key: key(REPORT_FILE), ...stored(objects, REPORT_FILE) },
      series: [
        {
          name: 'loss',
          points: 4,
          firstStep: 1,
          lastStep: 4,
          last: null,
          gap: 'nan',
          min: 0.25,
          max: 0.5,
          gapSince: 3,
        },
        { name: 'acc', points: 4, firstStep: 1, lastStep: 4, last: 1, gap: null, min: 0.7, max: 1, gapSince: null },
        { name: 'lr', points: 2, firstStep: 1, lastStep: 2, last: null, gap: 'inf', min: 0.1, max: 0.1, gapSince: 2 },
      ],
    });
  });

  it('stores a report with metrics and usage, and no script', async () => {
    const { summarize, text } = rig();
    await summarize(written());
    const [body] = elements(text(REPORT_FILE), 'body');
    for (const part of ['nan since step 3', 'last 1 at step 4', 'GPU utilization', 'succeeded'])
      expect(body?.text).toContain(part);
    expect(elements(text(REPORT_FILE), 'script')).toEqual([]);
  });

  it('leaves a run that has its summary as it is, and writes the summary last', async () => {
    const { summarize, sent } = rig();
    await summarize(written());
    await summarize(written());
    const puts = sent.filter(({ name }) => name === 'PutObjectCommand').map(({ input }) => input.Key);
    expect(puts).toEqual([METRICS_FILE, REPORT_FILE, SUMMARY_FILE].map(key));
    const reads = sent.filter(({ input }) => input.Key === key(LOG_FILE));
    expect(reads).toHaveLength(1);
  });

  it('replaces what an earlier run of the same name has left', async () => {
    const { summarize, objects, summary } = rig();
    await summarize(written());
    for (const [name, object] of endedRun({ log: 'epoch=1 loss=7\n', points: [], manifest: { run: again } }))
      objects.set(name, object);
    await summarize(written());
    expect(summary()?.series.map(({ name, last }) => [name, last])).toEqual(expect.arrayContaining([['loss', 7]]));
    expect(summary()?.run.startedAt).toBe(again.startedAt);
  });

  it('stops reading a log that takes too long, says so, and takes no half number of it', async () => {
    // Lines of 30 bytes behind 7: a chunk of 64 KiB, and so the second, ends within the number of one.
    const line = (step: number) => `epoch=${String(step).padStart(6, '0')} loss=0.123456789\n`;
    const log = `start!\n${Array.from({ length: 20_000 }, (_, step) => line(step)).join('')}`;
    const late = READ_LOG_S * 1_000;
    const { summarize, summary, text, lines } = rig(endedRun({ log, points: [] }), [0, 0, late - 1, late]);
    await summarize(written());
    expect(summary()?.log?.isWhole).toBe(false);
    expect(summary()?.log?.bytes).toBeGreaterThan(0);
    expect(summary()?.log?.bytes).toBeLessThan(log.length);
    const read = log.slice(0, summary()?.log?.bytes);
    expect(read).toMatch(/loss=0\.\d{1,8}$/);
    expect(lines().match(/"step":\d+,"value":0.123456789,/g)).toHaveLength(read.split('\n').length - 2);
    expect(summary()?.series[0]).toMatchObject({ name: 'loss', min: 0.123456789, max: 0.123456789 });
    expect(text(REPORT_FILE)).toContain('0.123');
  });

  it('stores empty results of a run that has no training', async () => {
    const { summarize, summary, lines, text } = rig(endedRun({ log: null, points: [] }));
    expect(await summarize(written())).toEqual({ points: 0 });
    expect([summary()?.log, summary()?.series, lines()]).toEqual([null, [], '']);
    expect(text(REPORT_FILE)).toContain('no metrics that runctl recognizes');
  });

  it('keeps 64 metrics, whatever files have', async () => {
    const points = Array.from({ length: 100 }, (_, index) => ({ name: `m${index}`, step: 1, value: index }));
    const { summarize, summary } = rig(endedRun({ points }));
    await summarize(written());
    expect(summary()?.series).toHaveLength(64);
    expect(summary()).toMatchObject({ filePoints: 62, hasMoreSeries: true });
  });

  it('takes the expressions of the spec, and leaves out those of a run that was rejected for them', async () => {
    const spec = { project: 'digits', metrics: [{ name: 'mine', regex: 'acc=0\\.(\\d)' }] };
    const good = rig(endedRun({ manifest: { spec } }));
    await good.summarize(written());
    expect(good.summary()?.series.map(({ name, max }) => [name, max])).toContainEqual(['mine', 9]);
    const wrong = rig(endedRun({ manifest: { spec: { metrics: [{ name: 'mine', regex: '(' }, 7, null] } } }));
    await wrong.summarize(written());
    expect(wrong.summary()?.series.map(({ name }) => name)).toEqual(['loss', 'acc', 'lr']);
  });

  it('reads over lines of files that are not points', async () => {
    const bad = [{ name: 'a"b', step: 1, value: 1 }, { name: 'lr', step: '1', value: 1 }, ['lr', 1, 1], { name: 'lr' }];
    const { summarize, summary } = rig(endedRun({ log: null, points: [...bad, { name: 'lr', step: 2, value: 3 }] }));
    await summarize(written());
    expect(summary()?.series.map(({ name, points }) => [name, points])).toEqual([['lr', 1]]);
  });

  it('fails, and stores no summary, when the log is not the one that the manifest names, or is damaged', async () => {
    const other = rig();
    other.objects.set(key(LOG_FILE), gzipSync('epoch=1 loss=9\n'));
    await expect(other.summarize(written())).rejects.toThrow('The SHA-256 of the file differs.');
    const cut = rig();
    cut.objects.set(key(LOG_FILE), gzipSync('epoch=1 loss=9\n').subarray(0, 20));
    await expect(cut.summarize(written())).rejects.toThrow('unexpected end of file');
    expect([other.summary(), cut.summary()]).toEqual([null, null]);
  });

  it('is tried again after a failure, and then stores all', async () => {
    const { summarize, objects, summary } = rig();
    const usage = objects.get(key(USAGE_FILE)) ?? Buffer.alloc(0);
    objects.set(key(USAGE_FILE), Buffer.from('not gzip'));
    await expect(summarize(written())).rejects.toThrow('incorrect header check');
    expect(summary()).toBeNull();
    objects.set(key(USAGE_FILE), usage);
    await summarize(written());
    expect(summary()?.series).toHaveLength(3);
  });

  it('does nothing when the manifest was deleted, and fails when it is not one that it can read', async () => {
    const gone = rig(new Map());
    expect(await gone.summarize(written())).toBeNull();
    expect(gone.objects.size).toBe(0);
    const broken = rig(new Map([[key(MANIFEST), Buffer.from('{}')]]));
    await expect(broken.summarize(written())).rejects.toThrow('cannot read the manifest of run digits-1');
  });

  it.each(['runs/digits-1/summary.json', 'runs/digits-1/x/manifest.json', 'uploads/manifest.json'])(
    'refuses the event of %s',
    async (name) => {
      const { summarize, sent } = rig();
      await expect(summarize(written(name))).rejects.toThrow(`not a manifest: "${name}"`);
      expect(sent).toEqual([]);
    },
  );
});

const again = {
  ...{
    id: RUN_ID,
    arn: 'arn',
    startedAt: '2027-04-01T10:00:00.000Z',
    endedAt: '2027-04-01T10:10:00.000Z',
    seconds: 600,
  },
};

function stored(objects: ReadonlyMap<string, Uint8Array>, name: string) {
  const object = objects.get(key(name)) ?? Buffer.alloc(0);
  return { bytes: object.length, sha256: sha256(object) };
}
