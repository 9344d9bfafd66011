import { describe, expect, it } from 'vitest';
import { setUpError } from '../../../../cli/errors.ts';
import { Refresher } from '../../../../cli/ui/refresher.ts';

describe('a refresher', () => {
  it('reads once for all that ask at a time, and once in its interval', async () => {
    let reads = 0;
    const refresher = new Refresher(5_000, async () => {
      reads += 1;
      return true;
    });
    await Promise.all([1, 2, 3].map(() => refresher.refresh(1_000, 100)));
    expect(reads).toBe(1);
    await refresher.refresh(1_000, 5_099);
    expect(reads).toBe(1);
    await refresher.refresh(1_000, 5_100);
    expect([reads, refresher.readAt]).toEqual([2, 5_100]);
  });

  it('does not wait longer than it may, and does not begin a second read meanwhile', async () => {
    let finish = (_: boolean) => {};
    let reads = 0;
    const refresher = new Refresher(1, () => {
      reads += 1;
      return new Promise<boolean>((resolve) => {
        finish = resolve;
      });
    });
    await refresher.refresh(5, 0);
    await refresher.refresh(5, 10_000);
    expect([reads, refresher.readAt]).toEqual([1, null]);
    finish(true);
    await refresher.refresh(1_000, 10_001);
    expect(refresher.readAt).toBe(0);
  });

  it('keeps since when reads fail, and goes on', async () => {
    let fails = true;
    const refresher = new Refresher(1, async () => {
      if (fails) throw setUpError('AWS cannot be reached.', 'Check the network.');
      return true;
    });
    await refresher.refresh(1_000, 1_000);
    await refresher.refresh(1_000, 2_000);
    expect(refresher.trouble).toEqual({ message: 'AWS cannot be reached.', next: 'Check the network.', since: 1_000 });
    fails = false;
    await refresher.refresh(1_000, 3_000);
    expect([refresher.trouble, refresher.readAt]).toEqual([null, 3_000]);
  });

  it('stops when nothing more comes, until something is done', async () => {
    let reads = 0;
    const refresher = new Refresher(1, async () => {
      reads += 1;
      return false;
    });
    for (const now of [0, 10, 20]) await refresher.refresh(1_000, now);
    expect(reads).toBe(1);
    refresher.expire();
    await refresher.refresh(1_000, 30);
    expect(reads).toBe(2);
  });
});
