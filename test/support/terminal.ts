import { PassThrough } from 'node:stream';
import { Terminal } from '../../cli/terminal/terminal.ts';

/** A terminal that is a pipe, with what was written to it so far. */
export function captured() {
  const io = () => Object.assign(new PassThrough(), { isTTY: false }) as unknown as NodeJS.WriteStream;
  const [out, err] = [io(), io()];
  const terminal = new Terminal({ out, err, in: process.stdin, env: {} });
  const text = (stream: NodeJS.WriteStream) => String((stream as unknown as PassThrough).read() ?? '');
  return { terminal, written: () => ({ out: text(out), err: text(err) }) };
}
