import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packFolder } from '../cli/archive/pack.ts';
import { buildProgram } from '../lib/instance/program.ts';
import { bestOf, runJob, timed } from './processes.ts';
import { writeProject } from './project.ts';
import { atMost, type Section } from './report.ts';

const FILES = 2_000;
const BYTES = 32 * 1024 * 1024;
/** The size for Verify archive: large enough that its start-up time does not matter. */
const LARGE_BYTES = 256 * 1024 * 1024;
const ROUNDS = 3;
const LAMBDA_MB = 512;

/** Measures packing and syncing 2,000 files, compared with GNU tar, and Verify archive's speed and memory. */
export async function benchArchive(work: string, say: (line: string) => void, signal: AbortSignal): Promise<Section[]> {
  say('packing, syncing and verifying archives');
  const project = join(work, 'project');
  await writeProject(project, FILES, BYTES);
  const sections: Section[] = [];
  for (const part of [() => packing(work, project), () => syncing(work), () => verifying(work)]) {
    signal.throwIfAborted();
    sections.push(await part());
  }
  return sections;
}

async function packing(work: string, project: string): Promise<Section> {
  const ours = join(work, 'ours.tar.gz');
  const theirs = join(work, 'theirs.tar.gz');
  const best = await bestOf(ROUNDS, {
    pack: async () => {
      const began = performance.now();
      await packFolder(project, ours);
      return performance.now() - began;
    },
    tar: async () => (await timed('tar', ['-I', 'gzip -6', '-cf', theirs, '-C', project, '.'])).ms,
  });
  const size = async (file: string) => (await stat(file)).size;
  return {
    title: `Packing ${FILES} files, 32 MB (best of ${ROUNDS}, in turns)`,
    rows: [
      {
        name: 'cli/archive/pack.ts',
        value: best.pack,
        unit: 'ms',
        target: atMost(best.tar),
        note: `${await size(ours)} bytes`,
      },
      { name: 'GNU tar, gzip -6', value: best.tar, unit: 'ms', target: null, note: `${await size(theirs)} bytes` },
      { name: 'ratio', value: best.pack / best.tar, unit: 'x', target: atMost(1) },
    ],
  };
}

async function syncing(work: string): Promise<Section> {
  const archive = join(work, 'ours.tar.gz');
  const bytes = await readFile(archive);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const runner = join(work, 'runner');
  await writeFile(runner, buildProgram().bytes);
  const store = createServer((_, response) => void response.end(bytes));
  await new Promise<void>((resolve) => store.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(store.address() as AddressInfo).port}/code.tar.gz`;
  const sync = {
    url,
    sha256,
    bytes: bytes.length,
    script: 'train.py',
    requirements: null,
    strip: null,
    versionId: null,
  };
  const home = join(work, 'home');
  const out = join(work, 'out');
  const fresh = async (folder: string) => {
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder);
  };
  try {
    const best = await bestOf(ROUNDS, {
      sync: async () => {
        await fresh(home);
        return await runJob(runner, 'sync', { home, project: 'bench', work: sync });
      },
      tar: async () => {
        await fresh(out);
        return (await timed('tar', ['-xzf', archive, '-C', out])).ms;
      },
    });
    const again = await bestOf(ROUNDS, { again: () => runJob(runner, 'sync', { home, project: 'bench', work: sync }) });
    return {
      title: `Sync of ${FILES} files, 32 MB, from loopback (best of ${ROUNDS}, in turns)`,
      rows: [
        { name: 'job sync: fetch, check, extract, hash, apply', value: best.sync, unit: 'ms', target: null },
        { name: 'tar xzf', value: best.tar, unit: 'ms', target: null },
        { name: 'ratio', value: best.sync / best.tar, unit: 'x', target: null },
        { name: 'the same archive again', value: again.again, unit: 'ms', target: null, note: 'no download' },
      ],
    };
  } finally {
    store.closeAllConnections();
    store.close();
  }
}

async function verifying(work: string): Promise<Section> {
  const project = join(work, 'large');
  const archive = join(work, 'large.tar.gz');
  await writeProject(project, FILES, LARGE_BYTES);
  await packFolder(project, archive);
  await rm(project, { recursive: true });
  const child = fileURLToPath(new URL('verify-child.ts', import.meta.url));
  const results: { ms: number; expandedBytes: number; bytes: number; peakMb: number; idleMb: number }[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const { stdout } = await timed(process.execPath, ['--import', 'tsx', child, archive]);
    results.push(JSON.parse(stdout));
  }
  const best = results.reduce((a, b) => (a.ms <= b.ms ? a : b));
  const peak = Math.max(...results.map((result) => result.peakMb));
  const gunzip = await bestOf(ROUNDS, {
    gzip: async () => (await timed('/bin/sh', ['-c', 'gzip -dc <"$0" | cat >/dev/null', archive])).ms,
  });
  const speed = (bytes: number, ms: number) => bytes / 1e6 / (ms / 1_000);
  return {
    title: `Verify archive: ${Math.round(best.expandedBytes / 1e6)} MB in ${Math.round(best.bytes / 1e6)} MB (best of ${ROUNDS})`,
    rows: [
      { name: 'speed, unpacked bytes', value: speed(best.expandedBytes, best.ms), unit: 'MB/s', target: null },
      { name: 'speed, uploaded bytes', value: speed(best.bytes, best.ms), unit: 'MB/s', target: null },
      { name: 'gzip -dc, unpacked bytes', value: speed(best.expandedBytes, gunzip.gzip), unit: 'MB/s', target: null },
      {
        name: 'peak memory of the process',
        value: peak,
        unit: 'MB',
        target: atMost(LAMBDA_MB),
        note: `${best.idleMb} MB of it before the archive is opened`,
      },
    ],
  };
}
