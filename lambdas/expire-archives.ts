import { createExpiryStore, type ExpiryStore, type ObjectVersion } from '../aws/expiry-store.ts';
import { createScheduleInputs } from '../aws/schedules.ts';
import { type Claims, claimsOf, isClaimed, isOlder, oldArchives } from '../core/archive/unused.ts';
import { ARCHIVE_DAYS, ARCHIVE_PREFIX, INDEX_PREFIX, USE_PREFIX } from '../core/names.ts';
import { entry } from './adapters/entry.ts';
import { requireEnv } from './adapters/environment.ts';
import { logger } from './adapters/logger.ts';

/** A request or three for each: what is above waits for the next day. */
const MARKED_MAX = 500;

interface Ports {
  readonly store: ExpiryStore;
  /** What schedules start runs with. */
  readonly schedules: () => Promise<string[]>;
  readonly uploadBucket: string;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

/**
 * Marks old archives that no schedule names and no run used lately, and takes the mark from those that are in use again: the
 * bucket's lifecycle rule deletes what is marked and ARCHIVE_DAYS old. It may not delete anything itself.
 */
export function createExpireArchives({ store, schedules, uploadBucket, now }: Ports) {
  const readClaims = async (): Promise<Claims> => {
    const inputs = await schedules();
    const [uses, indexes] = await Promise.all([USE_PREFIX, INDEX_PREFIX].map((prefix) => store.list(prefix)));
    const keys = (objects: readonly { key: string }[] = []) => objects.map(({ key }) => key);
    return claimsOf(uploadBucket, { inputs, uses: keys(uses), indexes: keys(indexes) });
  };

  /** @returns how many were marked */
  const keep = async (claims: Claims, keys: readonly string[]): Promise<number> => {
    let count = 0;
    const pinned = claims.named.flatMap(({ key, versionId }) => (versionId === null ? [] : [{ key, versionId }]));
    const unpinned = claims.named.filter(({ versionId }) => versionId === null).map(({ key }) => key);
    const claimed = new Set([...unpinned, ...keys.filter((key) => isClaimed(key, claims))]);
    const unmark = async (version: ObjectVersion | null) => {
      if (version !== null && (await store.setExpires(version, false))) count += 1;
    };
    for (const version of pinned) await unmark(version);
    for (const key of claimed) await unmark(await store.find(key));
    return count;
  };

  return async (): Promise<{ archives: number; marked: number; kept: number }> => {
    const archives = await store.list(ARCHIVE_PREFIX);
    const claims = await readClaims();
    const { expire, look } = oldArchives(archives, now());
    let kept = await keep(claims, look);
    const marked: string[] = [];
    for (const key of expire) {
      if (isClaimed(key, claims)) continue;
      if (marked.length === MARKED_MAX) break;
      const version = await store.find(key);
      // Somebody may have replaced it meanwhile.
      if (version === null || !isOlder(version, ARCHIVE_DAYS, now())) continue;
      if (await store.setExpires(version, true)) marked.push(key);
    }
    // What came into use meanwhile: nothing is deleted before the rule runs, once a day.
    if (marked.length > 0) kept += await keep(await readClaims(), marked);
    const result = { archives: archives.length, marked: marked.length, kept };
    logger.info('looked for archives that nothing names', result);
    return result;
  };
}

export const handler = entry(
  (event: { id?: string }) => event.id ?? 'unknown',
  () => {
    const uploadBucket = requireEnv('uploadBucket');
    return createExpireArchives({
      store: createExpiryStore(uploadBucket),
      schedules: createScheduleInputs(),
      uploadBucket,
      now: Date.now,
    });
  },
);
