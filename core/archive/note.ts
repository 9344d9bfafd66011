/** What `runctl` records in an archive beside its files, for the sync on the instance. */
export interface ArchiveNote {
  /**
   * What exists in the project's folder and is not in the archive: files, and folders with a slash at their end. An
   * empty text stands for everything. A sync does not remove these from the instance.
   */
  readonly leftOut?: readonly string[];
  /** A sync of another source to the same project is refused. */
  readonly source?: ArchiveSource;
}

/** Where the code of an archive comes from. */
export interface ArchiveSource {
  /** What is compared. */
  readonly id: string;
  /** What people are shown. */
  readonly label: string;
}

/** instance/runner/sync/note.py has it too; test/contract/archive-note.test.ts compares the two. */
const PREFIX = 'runctl note ';

/** The comment of a PAX global header, in ASCII. A reader of tar that does not know it ignores it. */
export function noteComment(note: ArchiveNote): string {
  const json = JSON.stringify(note);
  return `${PREFIX}${json.replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)}`;
}

/** Whether a name is one of those that an archive leaves out. */
export function leftOutMatcher(leftOut: readonly string[]): (name: string) => boolean {
  const names = new Set(leftOut);
  return (name) => {
    if (names.has('') || names.has(name)) return true;
    for (let slash = name.indexOf('/'); slash !== -1; slash = name.indexOf('/', slash + 1)) {
      if (names.has(name.slice(0, slash + 1))) return true;
    }
    return false;
  };
}
