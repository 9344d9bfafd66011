import { SSMClient } from '@aws-sdk/client-ssm';
import { findDocumentVersion } from '../../aws/program.ts';
import { CLIENT_SETTINGS } from '../../aws/settings.ts';
import { RUN_DOCUMENT } from '../../core/names.ts';

/** Finds the version of the deployed document that runs a program. */
export function createDocumentVersions(): (sha256: string) => Promise<string> {
  const ssm = new SSMClient(CLIENT_SETTINGS);
  return (sha256) => findDocumentVersion(ssm, RUN_DOCUMENT, sha256);
}
