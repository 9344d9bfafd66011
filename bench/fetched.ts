import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { encodeIndex } from '../core/archive/archive-index.ts';
import type { Member } from '../core/archive/members.ts';
import { buildProgram } from '../lib/instance/program.ts';
import { runJob } from './processes.ts';

interface Archive {
  readonly file: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly members: readonly Member[];
}

/** An instance that syncs archives of a project from a store of its own. */
export class FetchingInstance {
  private readonly program: string;

  constructor(private readonly home: string) {
    this.program = join(home, 'runner.zip');
  }

  /** @returns the bytes of the archive and of its index that the sync fetched */
  async sync({ file, sha256, bytes, members }: Archive): Promise<number> {
    await mkdir(this.home, { recursive: true });
    await writeFile(this.program, buildProgram().bytes);
    const archive = await readFile(file);
    const index = encodeIndex({ key: 'archives/bench/a.tar.gz', versionId: 'v', sha256, bytes, members });
    let sent = 0;
    const store = createServer((request, response) => {
      const content = request.url === '/index' ? index : archive;
      const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
      const part = first === undefined ? content : content.subarray(Number(first), Number(last) + 1);
      if (first !== undefined) response.setHeader('content-range', `bytes ${first}-${last}/${content.length}`);
      sent += part.length;
      response.writeHead(first === undefined ? 200 : 206, { 'content-length': part.length }).end(part);
    });
    await new Promise<void>((resolve) => store.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(store.address() as AddressInfo).port}`;
    const plain = { script: 'train.py', requirements: null, strip: null, versionId: null, allowRemovals: true };
    const work = { url: `${url}/archive`, index: `${url}/index`, sha256, bytes, ...plain };
    try {
      await runJob(this.program, 'sync', { home: this.home, project: 'bench', work });
    } finally {
      store.close();
    }
    return sent;
  }
}
