import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A way to a service that a test can interrupt. */
export interface TestNetwork {
  readonly url: string;
  /** Cuts all connections, and refuses new ones. */
  leave(): void;
  comeBack(): void;
  close(): void;
}

/** @param target address of the service */
export async function startNetwork(target: string): Promise<TestNetwork> {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  let isAway = false;
  const server = createServer((client) => {
    if (isAway) {
      client.resetAndDestroy();
      return;
    }
    const service = connect(Number(port), hostname);
    for (const [one, other] of [
      [client, service],
      [service, client],
    ] as const) {
      sockets.add(one);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = () => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    leave() {
      isAway = true;
      cut();
    },
    comeBack() {
      isAway = false;
    },
    close() {
      server.close();
      cut();
    },
  };
}
