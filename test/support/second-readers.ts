import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The result of reading an archive: its regular files and their sizes, or the error. */
export type Reading =
  | { readonly files: readonly (readonly [name: string, size: number])[] }
  | { readonly error: string };

/** `runner`: the reader on the instance. `tarfile`: Python's own, which stands for other readers. */
export type Reader = 'runner' | 'tarfile';

const RUNNER = fileURLToPath(new URL('../../instance/runner', import.meta.url));

const READ = `
import json, sys, tarfile, zlib
sys.path.insert(0, sys.argv[1])
from sync.inflate import inflate
from sync.report import SyncError
from common.tar import Source, read_entries


def by_runner(path):
    files = []
    with open(path, "rb") as file:
        source = Source(inflate(file))
        for parts, folder, size, _ in read_entries(source):
            if not folder:
                files.append(["/".join(parts), size])
                source.skip(size)
    return files


def by_tarfile(path):
    files = []
    with tarfile.open(path, "r:gz") as archive:
        for member in archive:
            if not member.isdir():
                odd = "" if member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) else "not a file: "
                files.append([odd + "/".join(p for p in member.name.split("/") if p not in ("", ".")), member.size])
    return files


def read(reader, path):
    try:
        return {"files": reader(path)}
    except (SyncError, tarfile.TarError, EOFError, OSError, ValueError, zlib.error) as error:
        return {"error": "%s: %s" % (type(error).__name__, error)}


reader = {"runner": by_runner, "tarfile": by_tarfile}[sys.argv[2]]
json.dump([read(reader, path) for path in sys.argv[3:]], sys.stdout)
`;

/** Reads all archives with another reader, in one process. */
export function readAgain(reader: Reader, archives: readonly Buffer[], python = 'python3'): Reading[] {
  const folder = mkdtempSync(join(tmpdir(), 'runctl-archives-'));
  try {
    const paths = archives.map((bytes, index) => {
      writeFileSync(join(folder, String(index)), bytes);
      return String(index);
    });
    const options = { encoding: 'utf8', maxBuffer: 1 << 28, cwd: folder } as const;
    return JSON.parse(execFileSync(python, ['-I', '-B', '-c', READ, RUNNER, reader, ...paths], options)) as Reading[];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
