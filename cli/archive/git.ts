import { spawn } from 'node:child_process';

/** Set where a hook or an alias of git runs the command: they would lead git to another repository than the folder's. */
const REPOSITORY_VARIABLES = [
  'GIT_DIR',
  'GIT_WORK_TREE',
  'GIT_COMMON_DIR',
  'GIT_INDEX_FILE',
  'GIT_OBJECT_DIRECTORY',
  'GIT_ALTERNATE_OBJECT_DIRECTORIES',
  'GIT_NAMESPACE',
  'GIT_PREFIX',
];
const ERROR_CHARACTERS = 4_000;

/** git could not be started, or ended with an error. */
export class GitError extends Error {
  override readonly name = 'GitError';
  /** There is no git on this machine. */
  readonly isMissing: boolean;
  readonly exitCode: number | null;

  constructor(stderr: string, { isMissing, exitCode }: { isMissing: boolean; exitCode: number | null }) {
    super(stderr.trim() || `exit code ${exitCode}`);
    this.isMissing = isMissing;
    this.exitCode = exitCode;
  }
}

export interface GitOptions {
  readonly input?: string;
  /** Gets the output as it comes, instead of the caller; what it throws ends git, and is thrown. */
  readonly onBytes?: (bytes: Buffer) => void;
  readonly signal?: AbortSignal;
}

/**
 * Runs git in a folder. Its messages are in English, and it takes no lock that another git process could wait for.
 * @throws GitError
 */
export async function git(folder: string, args: readonly string[], options: GitOptions = {}): Promise<Buffer> {
  const env: NodeJS.ProcessEnv = { ...process.env, GIT_OPTIONAL_LOCKS: '0', LC_ALL: 'C' };
  for (const name of REPOSITORY_VARIABLES) delete env[name];
  return await new Promise<Buffer>((resolve, reject) => {
    const child = spawn('git', ['-C', folder, ...args], {
      env,
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(options.signal ? { signal: options.signal } : {}),
    });
    const output: Buffer[] = [];
    let stderr = '';
    child.on('error', (error: NodeJS.ErrnoException) =>
      reject(new GitError(error.message, { isMissing: error.code === 'ENOENT', exitCode: null })),
    );
    child.stdout.on('data', (bytes: Buffer) => {
      try {
        if (options.onBytes) options.onBytes(bytes);
        else output.push(bytes);
      } catch (error) {
        child.kill();
        reject(error);
      }
    });
    child.stderr.on('data', (bytes: Buffer) => {
      stderr = `${stderr}${bytes}`.slice(0, ERROR_CHARACTERS);
    });
    child.on('close', (code) => {
      if (code === 0) return resolve(Buffer.concat(output));
      // On a Mac without its developer tools, `git` is a program that offers to install them.
      reject(new GitError(stderr, { isMissing: /\bxcrun\b|\bxcode/i.test(stderr), exitCode: code }));
    });
    child.stdin.on('error', () => undefined); // git has ended: its exit code says why
    child.stdin.end(options.input ?? '');
  });
}

/**
 * Runs a command of git whose output has the option `-z`, and passes each record on as soon as it is there. A name that
 * is not UTF-8 has U+FFFD in it then.
 * @throws GitError, and whatever `onRecord` throws
 */
export async function gitRecords(
  folder: string,
  args: readonly string[],
  onRecord: (record: string) => void,
  signal: AbortSignal,
): Promise<void> {
  let rest: Buffer = Buffer.alloc(0);
  const onBytes = (bytes: Buffer) => {
    const all = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    let start = 0;
    for (let end = all.indexOf(0); end >= 0; end = all.indexOf(0, start)) {
      onRecord(all.toString('utf8', start, end));
      start = end + 1;
    }
    rest = all.subarray(start);
  };
  await git(folder, args, { onBytes, signal });
}
