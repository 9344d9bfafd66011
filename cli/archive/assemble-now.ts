import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { isAbort } from '../../aws/errors.ts';
import { timeouts } from '../../aws/settings.ts';
import { type ArchiveLocation, ASSEMBLE_FUNCTION, archiveUri } from '../../core/names.ts';
import type { Account } from '../account/account.ts';
import type { LocalArchive } from './upload.ts';

/** As long as the function may take. */
const ANSWER_MS = 330_000;

/** Has the function of Assemble archive make an archive of a patch at once, for an upload that no run follows. */
export class AssembleNow {
  constructor(private readonly lambda: Pick<LambdaClient, 'send'>) {}

  /** @returns null when it could not be made: then the whole archive is to be sent */
  async assemble(
    archive: Pick<LocalArchive, 'sha256' | 'bytes'>,
    to: ArchiveLocation,
    patch: ArchiveLocation,
    { expires, signal }: { readonly expires: boolean; readonly signal?: AbortSignal | undefined },
  ): Promise<ArchiveLocation | null> {
    const input = { archive: archiveUri(to), patch: archiveUri(patch), sha256: archive.sha256 };
    const Payload = Buffer.from(JSON.stringify({ execution: { name: 'push' }, input, keep: !expires }));
    try {
      const answer = await this.lambda.send(
        new InvokeCommand({ FunctionName: ASSEMBLE_FUNCTION, Payload }),
        signal ? { abortSignal: signal } : {},
      );
      if (answer.FunctionError !== undefined) return null;
      const made: unknown = JSON.parse(Buffer.from(answer.Payload ?? []).toString('utf8'));
      const { versionId = null, bytes } = made as { versionId?: string | null; bytes?: number };
      return bytes === archive.bytes && typeof versionId === 'string' ? { ...to, versionId } : null;
    } catch (error) {
      // Without the permission, or with a stack that is older, all of the archive is sent.
      if (isAbort(error)) signal?.throwIfAborted();
      return null;
    }
  }
}

/** Passes it to `use` with a client that waits for the function's answer, once. */
export async function withAssembleNow<T>(
  account: Pick<Account, 'settings'>,
  use: (assemble: AssembleNow) => Promise<T>,
): Promise<T> {
  const requestHandler = timeouts({ connection: 5_000, request: ANSWER_MS });
  const lambda = new LambdaClient({ ...account.settings, maxAttempts: 1, requestHandler });
  try {
    return await use(new AssembleNow(lambda));
  } finally {
    lambda.destroy();
  }
}
