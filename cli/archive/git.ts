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
  /** Gets the output as it comes; what it throws ends git, and is thrown. */
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
      output.push(bytes);
      try {
        options.onBytes?.(bytes);
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

/** The records of an output with `-z`. A name that is not UTF-8 has U+FFFD in it afterwards. */
export function splitRecords(output: Buffer): string[] {
  const records = output.toString('utf8').split('\0');
  records.pop(); // the end of the last record
  return records;
}
