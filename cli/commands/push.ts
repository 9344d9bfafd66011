import type { Command } from 'commander';
import { archiveUri } from '../../core/names.ts';
import type { SpecInput } from '../../core/spec/spec.ts';
import { formatSize } from '../../core/units.ts';
import { type Context, withContext } from '../context.ts';
import { EXIT, type ExitCode } from '../errors.ts';
import type { PushOutput } from '../output/schemas.ts';
import { addSpecOptions } from '../project/spec-options.ts';

interface PushOptions extends Record<string, unknown> {
  readonly start?: boolean;
  readonly includeSecrets?: boolean;
  readonly full?: boolean;
  readonly json?: boolean;
}

export function addPushCommand(program: Command): void {
  const command = program
    .command('push')
    .description('pack and upload this folder without starting a run')
    .option('--start', 'upload to uploads/ instead, which starts a run')
    .option('--include-secrets', 'also pack files that look like secrets (.env, keys, credentials)')
    .option('--full', 'upload the whole archive, also where a part of it would do')
    .option('--json', 'print one JSON document');
  addSpecOptions(command, ['project'])
    .addHelpText(
      'after',
      `
runctl packs what git tracks, and what it neither tracks nor ignores; .runctlignore excludes and includes more. Virtual
environments, caches, files that match the key outputs, and folders of \`runctl pull\` are left out unless git tracks them.
The same files at the same commit give the same archive, which is uploaded only once.

Examples:
  runctl push                       upload, and print the command that starts a run
  runctl push --json | jq -r .archive
  runctl push --start               upload and start a run, as \`aws s3 cp\` to uploads/ does`,
    )
    .action((options: PushOptions, self: Command) => withContext(self, (context) => push(context, options)));
}

async function push(context: Context, options: PushOptions): Promise<ExitCode> {
  const { account, terminal, signal, folder } = context;
  const [
    { findProject },
    { readCode, packWarnings, withArchive },
    { send, sentLine },
    { specOf },
    { lineEndWarnings },
  ] = await Promise.all([
    import('../project/project.ts'),
    import('../archive/code.ts'),
    import('../archive/send-archive.ts'),
    import('../project/spec-from-options.ts'),
    import('../runs/code-notes.ts'),
  ]);
  const flags: SpecInput = specOf(options);
  const { name, file: spec } = await findProject(folder, flags);
  const includeSecrets = options.includeSecrets === true;
  const code = await readCode(folder, { includeSecrets, spec }, terminal);
  // Asked while the code is packed, which ends when there is no stack.
  const unusable = new AbortController();
  const asked = account.output('bucket').catch((error: unknown) => {
    unusable.abort(error);
    throw error;
  });
  asked.catch(() => undefined); // reported where it is awaited, or by the packing
  for (const warning of await lineEndWarnings(code.listing.files)) terminal.warn(warning);
  const packing = { includeSecrets, signal: AbortSignal.any([signal, unusable.signal]) };
  return await withArchive(code, packing, async (archive, packed) => {
    const bucket = await asked;
    for (const warning of packWarnings(packed)) terminal.warn(warning);
    terminal.note(
      `Packed ${packed.files.length} files (${formatSize(packed.bytes)}) into ${formatSize(packed.archiveBytes)}`,
    );
    const patch = options.full === true ? ('none' as const) : ('at-once' as const);
    const isStart = options.start === true;
    const to = { bucket, project: name.value, patch, expires: isStart };
    const start = isStart ? { spec: flags, changedFiles: packed.changedFiles } : null;
    const sent = await send(context, archive, { ...to, start });
    const uri = archiveUri(sent);
    terminal.note(sentLine(packed, sent));
    if (sent.reused) terminal.note('The same archive is already uploaded.');
    const command = `runctl run --project ${name.value} --archive '${uri}' --sha256 ${archive.sha256}`;
    if (options.json) {
      const output: PushOutput = {
        archive: uri,
        project: name.value,
        sha256: archive.sha256,
        files: packed.files.length,
        bytes: packed.bytes,
        archiveBytes: archive.bytes,
        reused: sent.reused,
        sentBytes: sent.sentBytes,
        changedFiles: packed.changedFiles,
        gitCommit: packed.git?.commit ?? null,
        gitDirty: packed.git?.dirty ?? null,
        secretsLeftOut: [...packed.secrets],
        runId: sent.runId,
      };
      terminal.json(output);
    } else {
      terminal.print(uri);
      terminal.note(
        sent.runId === null
          ? `To start a run: ${command}`
          : `The upload starts run ${sent.runId}. To follow it: runctl logs -f ${sent.runId}`,
      );
    }
    return EXIT.succeeded;
  });
}
