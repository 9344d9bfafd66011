import { createHash } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync, strToU8, zipSync } from 'fflate';

export interface PackageSpec {
  readonly name: string;
  readonly version: string;
  /** PEP 508 requirements. */
  readonly requires?: readonly string[];
  /** The build requirements of its source distribution. Its backend imports each of them. */
  readonly buildRequires?: readonly string[];
  /** Bytes that do not compress, to make a download last. */
  readonly padding?: number;
  /** Installed into the folder for compiled packages (platlib). */
  readonly compiled?: boolean;
  /** More files of the package, by their path in the wheel. */
  readonly files?: Readonly<Record<string, string>>;
}

export interface Wheel {
  readonly file: string;
  readonly bytes: Uint8Array;
  /** The metadata that an index serves; not for source distributions. */
  readonly metadata?: string;
}

const importName = (name: string) => name.toLowerCase().replaceAll(/[-.]+/g, '_');

function metadata(spec: PackageSpec): string {
  const requires = (spec.requires ?? []).map((requirement) => `Requires-Dist: ${requirement}\n`).join('');
  return `Metadata-Version: 2.1\nName: ${spec.name}\nVersion: ${spec.version}\n${requires}`;
}

/** Deterministic bytes that gzip and zip cannot compress. */
function noise(bytes: number, seed: string): Uint8Array {
  const out = new Uint8Array(bytes);
  let block = createHash('sha256').update(seed).digest();
  for (let at = 0; at < bytes; at += block.length) {
    out.set(block.subarray(0, Math.min(block.length, bytes - at)), at);
    block = createHash('sha256').update(block).digest();
  }
  return out;
}

/** The files of an installed package, by path below site-packages. */
function contents(spec: PackageSpec): Record<string, Uint8Array> {
  const module = importName(spec.name);
  const info = `${module}-${spec.version}.dist-info`;
  const files: Record<string, Uint8Array> = {
    [`${module}/__init__.py`]: strToU8(`__version__ = ${JSON.stringify(spec.version)}\n`),
    [`${info}/METADATA`]: strToU8(metadata(spec)),
    [`${info}/WHEEL`]: strToU8(
      `Wheel-Version: 1.0\nGenerator: runctl-test\nRoot-Is-Purelib: ${!spec.compiled}\nTag: py3-none-any\n`,
    ),
  };
  for (const [path, text] of Object.entries(spec.files ?? {})) files[path] = strToU8(text);
  if (spec.padding) files[`${module}/weights.bin`] = noise(spec.padding, spec.name);
  const record = Object.entries(files).map(([path, bytes]) => {
    const digest = createHash('sha256').update(bytes).digest('base64url');
    return `${path},sha256=${digest},${bytes.length}\n`;
  });
  files[`${info}/RECORD`] = strToU8(`${record.join('')}${info}/RECORD,,\n`);
  return files;
}

/** A small valid wheel. */
export function buildWheel(spec: PackageSpec): Wheel {
  const file = `${importName(spec.name)}-${spec.version}-py3-none-any.whl`;
  const bytes = zipSync(contents(spec), { level: 0, mtime: '1980-01-01T00:00:00', os: 3 });
  return { file, bytes, metadata: metadata(spec) };
}

/** Copies the package into `sitePackages`, as if it were part of an image. */
export function placeInstalled(sitePackages: string, spec: PackageSpec): void {
  for (const [path, bytes] of Object.entries(contents(spec))) {
    const target = join(sitePackages, path);
    mkdirSync(dirname(target), { recursive: true });
    // uv hard-links files from its cache: writing in place would change the cache.
    rmSync(target, { force: true });
    writeFileSync(target, bytes);
  }
  writeFileSync(join(sitePackages, `${importName(spec.name)}-${spec.version}.dist-info`, 'INSTALLER'), 'image\n');
}

/** A source distribution. It carries its own backend (PEP 517). */
export function buildSdist(spec: PackageSpec): Wheel {
  const wheel = buildWheel(spec);
  const imports = (spec.buildRequires ?? []).map((name) => `import ${importName(name)}\n`).join('');
  const backend = `${imports}import base64, os
WHEEL = ${JSON.stringify(Buffer.from(wheel.bytes).toString('base64'))}
def build_wheel(folder, config_settings=None, metadata_directory=None):
    with open(os.path.join(folder, ${JSON.stringify(wheel.file)}), "wb") as file:
        file.write(base64.b64decode(WHEEL))
    return ${JSON.stringify(wheel.file)}
`;
  return sdist(spec, backend);
}

/** A source distribution whose build fails, as without a compiler. */
export function buildBrokenSdist(spec: PackageSpec): Wheel {
  return sdist(spec, `raise SystemExit("error: command 'gcc' failed: No such file or directory")\n`);
}

function sdist(spec: PackageSpec, backend: string): Wheel {
  const folder = `${importName(spec.name)}-${spec.version}`;
  const project = `[build-system]\nrequires = ${JSON.stringify(spec.buildRequires ?? [])}\nbuild-backend = "backend"\nbackend-path = ["."]\n`;
  const files = { 'PKG-INFO': metadata(spec), 'pyproject.toml': project, 'backend.py': backend };
  const entries = Object.entries(files).map(([name, text]) => [`${folder}/${name}`, text] as const);
  return { file: `${folder}.tar.gz`, bytes: gzipSync(tar(Object.fromEntries(entries))) };
}

function tar(files: Readonly<Record<string, string>>): Uint8Array {
  const blocks: Buffer[] = [];
  for (const [path, text] of Object.entries(files)) {
    const body = Buffer.from(text);
    const header = Buffer.alloc(512);
    header.write(path, 0);
    header.write('0000644\0', 100);
    header.write('0000000\0', 108);
    header.write('0000000\0', 116);
    header.write(`${body.length.toString(8).padStart(11, '0')}\0`, 124);
    header.write('00000000000\0', 136);
    header.write('        0', 148);
    header.write('ustar\x0000', 257);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    blocks.push(header, body, Buffer.alloc((512 - (body.length % 512)) % 512));
  }
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}
