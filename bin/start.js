import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { getHeapCodeStatistics, setFlagsFromString } from 'node:v8';
import { Script } from 'node:vm';

const DIGEST_BYTES = 32;
/** Of the number that says how much was compiled. */
const SIZE_BYTES = 8;
/** A run that has compiled so much more than was kept did something else: what it compiled is kept as well. */
const MORE_BYTES = 16 * 1024;
/** The exit code of a command that does not exist. */
const USAGE = 2;
/** Options before a command that have a value. */
const VALUED = ['--profile', '--region'];

/**
 * Runs the bundle of the command. V8 needs longer to compile it than most commands need for their work, so what it has
 * compiled for a command is kept for the next time. (Node.js does this itself from 22.1 on, by `module.enableCompileCache`.)
 * NODE_DISABLE_COMPILE_CACHE=1 keeps nothing.
 * @param {string} bundle a CommonJS script with `ended`, a promise
 * @param {string} folder where compiled code is kept; made when it is missing
 */
export async function start(bundle, folder) {
  // What is not used for a while would be thrown away before it is kept.
  setFlagsFromString('--no-flush-bytecode');
  const bytes = readFileSync(bundle);
  const source = bytes.latin1Slice(); // esbuild writes ASCII
  const file = isDisabled() ? null : compiledFile(folder, bytes);
  const kept = file === null ? undefined : readCompiled(file);
  const script = new Script(`(function(exports,require,module,__filename,__dirname){${source}\n})`, {
    filename: bundle,
    ...(kept === undefined ? {} : { cachedData: kept.code }),
  });
  const before = kept === undefined || script.cachedDataRejected ? 0 : kept.compiledBytes;
  if (file !== null)
    process.once('exit', (code) => {
      const compiledBytes = getHeapCodeStatistics().bytecode_and_metadata_size;
      if (code !== USAGE && compiledBytes > before + MORE_BYTES)
        keepCompiled(file, compiledBytes, script.createCachedData());
    });
  const module = { exports: {} };
  script.runInThisContext()(module.exports, createRequire(bundle), module, bundle, dirname(bundle));
  await module.exports.ended;
}

function isDisabled() {
  return (process.env.NODE_DISABLE_COMPILE_CACHE ?? '') !== '';
}

/** V8 compares no more than the length of the source, so its digest is in the name. Each command needs other functions. */
function compiledFile(folder, bytes) {
  const digest = digestOf(bytes).toString('hex').slice(0, 16);
  const words = process.argv.slice(2);
  const command = words.find((word, index) => /^[a-z]{1,20}$/.test(word) && !VALUED.includes(words[index - 1])) ?? '';
  return join(folder, `${digest}-${process.version}-${process.arch}-${command}.bin`);
}

/** What was kept, if nobody else could have written it and it is whole. */
function readCompiled(file) {
  try {
    const { uid, mode } = statSync(file);
    if (uid !== (process.getuid?.() ?? uid) || (mode & 0o022) !== 0) return undefined;
    const kept = readFileSync(file);
    const content = kept.subarray(DIGEST_BYTES);
    if (!digestOf(content).equals(kept.subarray(0, DIGEST_BYTES))) return undefined;
    return { compiledBytes: content.readDoubleLE(0), code: content.subarray(SIZE_BYTES) };
  } catch {
    return undefined; // the first time
  }
}

/** Without it, the next start takes longer: an error of the disk is none of the command. */
function keepCompiled(file, compiledBytes, code) {
  const folder = dirname(file);
  const draft = `${file}.${process.pid}`;
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const isOld = (name) => name.endsWith('.bin') && !file.startsWith(join(folder, name.slice(0, 16)));
    for (const name of readdirSync(folder).filter(isOld)) rmSync(join(folder, name), { force: true });
    const size = Buffer.alloc(SIZE_BYTES);
    size.writeDoubleLE(compiledBytes);
    const content = Buffer.concat([size, code]);
    writeFileSync(draft, Buffer.concat([digestOf(content), content]), { mode: 0o600 });
    renameSync(draft, file);
  } catch {
    removeDraft(draft);
  }
}

function removeDraft(draft) {
  try {
    rmSync(draft, { force: true });
  } catch {
    // its folder cannot exist either
  }
}

function digestOf(bytes) {
  return createHash('sha256').update(bytes).digest();
}
