import { ARCHIVE_DAYS, ARCHIVE_PREFIX, archiveProject, INDEX_PREFIX, parseArchiveUri, USE_PREFIX } from '../names.ts';

/** Archives that are this old are looked at: long before they may expire, so that the next days' looks can still keep them. */
export const LOOK_DAYS = 60;
const DAY_MS = 86_400_000;

export interface StoredObject {
  readonly key: string;
  /** Epoch milliseconds. */
  readonly modifiedAt: number;
}

/** An archive that a schedule names. */
export interface NamedArchive {
  readonly key: string;
  readonly versionId: string | null;
}

/** What is in use. */
export interface Claims {
  readonly named: readonly NamedArchive[];
  /** Keys of archives that a run used within ARCHIVE_DAYS. */
  readonly used: ReadonlySet<string>;
  /** `<project>/<first digits of the SHA-256>` of archives that a run verified within ARCHIVE_DAYS. */
  readonly verified: ReadonlySet<string>;
}

/** How much of a digest the name of an archive has at least (cli/archive/upload.ts). */
const DIGITS = 12;

/**
 * Reads what claims archives.
 * @param inputs of the schedules; @param uses keys below `used/`; @param indexes keys below `indexes/`, which runs of a version
 * without `used/` have written, too
 */
export function claimsOf(
  bucket: string,
  { inputs, uses, indexes }: { inputs: readonly string[]; uses: readonly string[]; indexes: readonly string[] },
): Claims {
  return {
    named: inputs.flatMap((input) => archivesIn(input, bucket)),
    used: new Set(uses.map((key) => key.slice(USE_PREFIX.length))),
    verified: new Set(
      indexes.map((key) => key.slice(INDEX_PREFIX.length).replace(/([^/]*)$/, (name) => name.slice(0, DIGITS))),
    ),
  };
}

export function isClaimed(key: string, { named, used, verified }: Claims): boolean {
  const digits = key.slice(key.lastIndexOf('/') + 1).slice(0, DIGITS);
  return (
    used.has(key) || verified.has(`${archiveProject(key)}/${digits}`) || named.some((archive) => archive.key === key)
  );
}

/** Archives that expire unless something claims them, the oldest first; and younger ones that are looked at. */
export function oldArchives(archives: readonly StoredObject[], now: number): { expire: string[]; look: string[] } {
  const sorted = [...archives].sort((a, b) => a.modifiedAt - b.modifiedAt);
  const olderThan = (days: number) => sorted.filter((one) => isOlder(one, days, now)).map(({ key }) => key);
  return { expire: olderThan(ARCHIVE_DAYS), look: olderThan(LOOK_DAYS) };
}

export function isOlder({ modifiedAt }: Pick<StoredObject, 'modifiedAt'>, days: number, now: number): boolean {
  return now - modifiedAt >= days * DAY_MS;
}

/** The archives that the input of a schedule names, wherever in it: somebody may have written it by hand. */
function archivesIn(input: string, bucket: string): NamedArchive[] {
  const words: string[] = [];
  const visit = (value: unknown): void => {
    if (typeof value === 'string') words.push(value);
    else if (typeof value === 'object' && value !== null) Object.values(value).forEach(visit);
  };
  try {
    visit(JSON.parse(input));
  } catch {
    words.push(...input.split(/["'\s]+/));
  }
  return words.flatMap((word) => {
    const found = parseArchiveUri(word);
    return found?.bucket === bucket && found.key.startsWith(ARCHIVE_PREFIX)
      ? [{ key: found.key, versionId: found.versionId }]
      : [];
  });
}
