/** What an archive says of the git repository that it was packed from. */
export interface GitState {
  /** 40 or 64 hex digits. */
  readonly commit: string;
  /** Something in the archive is not as that commit has it. */
  readonly dirty: boolean;
}

const DIRTY = '-dirty';

/** The comment of an archive's PAX global header: the commit, as `git archive` notes it, marked as `git describe --dirty` marks it. */
export function gitComment({ commit, dirty }: GitState): string {
  return dirty ? `${commit}${DIRTY}` : commit;
}

/** Null for a comment about something else. */
export function parseGitComment(comment: string): GitState | null {
  const [, commit, mark] = /^([0-9a-f]{40}|[0-9a-f]{64})(-dirty)?$/.exec(comment) ?? [];
  return commit === undefined ? null : { commit, dirty: mark !== undefined };
}
