import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { GetDocumentCommand, type SSMClient } from '@aws-sdk/client-ssm';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { RunError } from '../core/errors.ts';
import type { RunProgram } from '../core/workflow/data.ts';
import { withAwsErrors, withSignal } from './errors.ts';
import { CLIENT_SETTINGS } from './settings.ts';

/** A leaked URL expires soon. What it reads is no secret, but the signature is a person's or a function's. */
const URL_SECONDS = 300;
/** Versions of a document that are searched for a program, the newest first: so many deployments may overlap. */
const VERSIONS_SEARCHED = 20;

/** Makes URLs from which an instance fetches a program. Few commands need one, so the client is made with the first. */
export function programPresigner(settings: ConstructorParameters<typeof S3Client>[0] = CLIENT_SETTINGS) {
  let s3: S3Client | null = null;
  return ({ bucket, key }: Pick<RunProgram, 'bucket' | 'key'>): Promise<string> => {
    s3 ??= new S3Client(settings ?? {});
    return getSignedUrl(s3, new GetObjectCommand({ Bucket: bucket, Key: key }), { expiresIn: URL_SECONDS });
  };
}

/**
 * The number of the newest version of a document that runs this program. It is read from the content: a version's name would have to be
 * unique, and a rolled back deployment brings an earlier content again.
 */
export async function findDocumentVersion(
  ssm: Pick<SSMClient, 'send'>,
  document: string,
  sha256: string,
  signal?: AbortSignal,
): Promise<string> {
  let version = '$LATEST';
  for (let searched = 0; searched < VERSIONS_SEARCHED && version !== '0'; searched += 1) {
    const command = new GetDocumentCommand({ Name: document, DocumentVersion: version });
    const found = await withAwsErrors(`ssm:GetDocument of ${document}`, ssm.send(command, withSignal(signal)));
    const number = found.DocumentVersion ?? '1';
    if (found.Content?.includes(sha256)) return number;
    version = String(Number(number) - 1);
  }
  throw new RunError('ProgramMissing', `no recent version of the document ${document} runs the program ${sha256}`);
}
