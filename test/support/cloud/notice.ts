import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { StatePaths } from '../../../local/cloud/paths.ts';

/** What the instance metadata service has for an instance, by the last part of the path. */
export interface Notices {
  /** `time` as EC2 writes it: `2026-11-27T12:00:00Z`. */
  readonly 'instance-action'?: { readonly action: 'terminate' | 'stop' | 'hibernate'; readonly time: string };
  readonly rebalance?: { readonly noticeTime: string };
}

/** Has the local cloud tell an instance that EC2 takes it away. */
export function giveNotice(paths: StatePaths, instanceId: string, notices: Notices): void {
  mkdirSync(paths.notices, { recursive: true });
  const file = join(paths.notices, `${instanceId}.json`);
  writeFileSync(`${file}.new`, JSON.stringify(notices));
  renameSync(`${file}.new`, file);
}
