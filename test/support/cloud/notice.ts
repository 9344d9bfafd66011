import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { StatePaths } from '../../../local/cloud/paths.ts';

/** What EC2 says about an instance, or a launch template; the first two by the last part of the metadata's path. */
export interface Notices {
  /** `time` as EC2 writes it: `2026-11-27T12:00:00Z`. */
  readonly 'instance-action'?: { readonly action: 'terminate' | 'stop' | 'hibernate'; readonly time: string };
  readonly rebalance?: { readonly noticeTime: string };
  /** EC2 has no room: `refused` when it is asked for an instance, `withdrawn` after it had agreed. */
  readonly capacity?: 'refused' | 'withdrawn';
}

/** Has the local cloud say it, until it is told otherwise. */
export function giveNotice(paths: StatePaths, resourceId: string, notices: Notices): void {
  mkdirSync(paths.notices, { recursive: true });
  const file = join(paths.notices, `${resourceId}.json`);
  writeFileSync(`${file}.new`, JSON.stringify(notices));
  renameSync(`${file}.new`, file);
}
