import { PassThrough } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import type { Context } from '../../../cli/context.ts';
import { LogSink } from '../../../cli/logs/log-sink.ts';
import { showLive } from '../../../cli/logs/show-live.ts';
import type { Runs } from '../../../cli/runs/find.ts';
import { Terminal } from '../../../cli/terminal/terminal.ts';

const RUN = { name: 'digits-1', arn: 'arn', status: 'SUCCEEDED' };

/** What `runctl logs --live` prints of an ended run whose attempts left these logs in S3; undefined: it left none. */
async function shown(logs: readonly (string | undefined)[]): Promise<{ out: string; err: string }> {
  const streams = { out: new PassThrough(), err: new PassThrough() };
  const text = { out: '', err: '' };
  for (const name of ['out', 'err'] as const)
    streams[name].on('data', (chunk: Buffer) => {
      text[name] += chunk.toString();
    });
  const { out, err } = streams;
  const terminal = new Terminal({ out: out as never, err: err as never, in: process.stdin, env: {} });
  const context = { terminal, signal: new AbortController().signal } as unknown as Context;
  const keyOf = (index: number) => `runs/digits-1/train${index === 0 ? '' : `-${index + 1}`}.log.gz`;
  const store = {
    manifest: async () => ({
      logs: logs.flatMap((log, index) =>
        log === undefined ? [] : [{ job: 'train', attempt: index + 1, key: keyOf(index) }],
      ),
    }),
    open: async (key: string) => {
      const log = logs[logs.findIndex((_, index) => keyOf(index) === key)];
      return log === undefined ? null : { Body: [gzipSync(log)] };
    },
  };
  const runs = { store, executions: { describe: async () => RUN } } as unknown as Runs;
  const sink = new LogSink(terminal, { job: 'train', format: 'text' });
  await showLive(context, runs, RUN as never, sink, { job: 'train', raw: false, lines: 50, timestamps: false });
  return text;
}

it('shows all attempts of a run that has ended', async () => {
  expect(await shown(['a\n', 'b\n', undefined, 'd\n'])).toEqual({ out: 'a\nb\nd\n', err: '' });
});

it('says where a log may be that is not in S3', async () => {
  const { out, err } = await shown([]);
  expect(out).toBe('');
  expect(err).toContain('runctl logs digits-1');
});
