import { readdir, readFile, readlink } from 'node:fs/promises';

const listening = '0A'; // TCP_LISTEN, as in /proc/net/tcp

/** The addresses, `host:port`, that a process listens on. Linux. */
export async function listeningAddresses(pid: number): Promise<string[]> {
  const folder = `/proc/${pid}/fd`;
  const targets = await Promise.all((await readdir(folder)).map((fd) => readlink(`${folder}/${fd}`).catch(() => '')));
  const inodes = new Set(targets.map((target) => /^socket:\[(\d+)\]$/.exec(target)?.[1]));
  const tables = await Promise.all(['tcp', 'tcp6'].map((name) => readFile(`/proc/${pid}/net/${name}`, 'utf8')));
  return tables
    .flatMap((table) => table.split('\n').slice(1))
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === listening && inodes.has(fields[9]))
    .map((fields) => readable(fields[1] ?? ''));
}

/** `0100007F:1F90` is 127.0.0.1:8080: the address in this machine's byte order, the port in hexadecimal. */
function readable(hex: string): string {
  const [address = '', port = ''] = hex.split(':');
  const bytes = address.match(/../g)?.map((byte) => Number.parseInt(byte, 16)) ?? [];
  const host = bytes.length === 4 ? bytes.reverse().join('.') : `[${address}]`;
  return `${host}:${Number.parseInt(port, 16)}`;
}
