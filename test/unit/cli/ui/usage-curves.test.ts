import { describe, expect, it } from 'vitest';
import { type Sample, UsageCurves } from '../../../../cli/ui/usage-curves.ts';

const GB = 1_000_000_000;

function sample(time: number, changes: Partial<Sample> = {}): Sample {
  const gpu = { index: 0, utilizationPercent: 93, memoryUsedBytes: 6 * GB, memoryTotalBytes: 24 * GB };
  return { time, cpuPercent: 12, memoryUsedBytes: 4 * GB, memoryTotalBytes: 16 * GB, gpus: [gpu], ...changes };
}

describe('the usage of a run on the page', () => {
  it('is nothing before the first sample', () => {
    const curves = new UsageCurves();
    curves.add(null);
    expect(curves.view('')).toBeNull();
  });

  it('has the latest sample, and curves that grow', () => {
    const curves = new UsageCurves();
    curves.add(sample(100));
    const first = curves.view('');
    expect(first).toMatchObject({ at: 100_000, gpus: [93], cpuPercent: 12, memoryPercent: 25 });
    expect(first?.curves?.map(({ name }) => name)).toEqual(['GPU', 'GPU memory', 'CPU and memory of the instance']);
    curves.add(sample(100));
    expect(curves.view(first?.version ?? '')?.curves).toBeNull();
    curves.add(sample(110, { cpuPercent: 50 }));
    const next = curves.view(first?.version ?? '');
    expect(next?.curves?.[2]?.svg.length).toBeGreaterThan(first?.curves?.[2]?.svg.length ?? Number.POSITIVE_INFINITY);
  });

  it('has no GPU where there is none, and gaps where it is not known', () => {
    const curves = new UsageCurves();
    curves.add(sample(1, { gpus: [] }));
    expect(curves.view('')?.curves?.map(({ name }) => name)).toEqual(['CPU and memory of the instance']);
    curves.add(
      sample(2, { gpus: [{ index: 0, utilizationPercent: null, memoryUsedBytes: null, memoryTotalBytes: null }] }),
    );
    expect(curves.view('')).toMatchObject({ gpus: [null] });
  });

  it('keeps a bounded number of samples', () => {
    const curves = new UsageCurves();
    for (let time = 1; time <= 30_000; time += 1) curves.add(sample(time));
    expect(curves.view('')?.curves?.[0]?.svg.length).toBeLessThan(50_000);
  });
});
