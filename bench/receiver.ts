import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { bareEnvironment } from './processes.ts';

/** As much of S3 as uploads need. It reads what is sent, as fast as its line is, and drops it. */
const RECEIVE = `import socket, sys, threading, time
RATE, LOCK, NEXT_AT = float(sys.argv[1]) * 1e6, threading.Lock(), [0.0]
def pace(count):
    with LOCK:
        NEXT_AT[0] = max(NEXT_AT[0], time.monotonic()) + count / RATE
        wait = NEXT_AT[0] - time.monotonic()
    if wait > 0.001:
        time.sleep(wait)
LISTENER = socket.create_server(("127.0.0.1", 0))
UPLOAD = b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
DONE = b'<CompleteMultipartUploadResult><ETag>"e"</ETag></CompleteMultipartUploadResult>'
def serve(connection):
    file = connection.makefile("rb", 1 << 16)
    buffer = memoryview(bytearray(1 << 20))
    while True:
        line = file.readline()
        if not line:
            return
        length, expects = 0, False
        while True:
            header = file.readline().lower()
            if header.startswith(b"content-length:"):
                length = int(header[15:])
            expects = expects or header.startswith(b"expect:")
            if header in (b"\\r\\n", b""):
                break
        if expects:
            connection.sendall(b"HTTP/1.1 100 Continue\\r\\n\\r\\n")
        while length > 0:
            count = file.readinto1(buffer[: min(length, len(buffer))])
            if count == 0:
                return
            length -= count
            pace(count)
        target = line.split()[1]
        body = UPLOAD if b"?uploads" in target else DONE if b"?uploadId" in target else b""
        etag = b'ETag: "e"\\r\\n' if line.startswith(b"PUT") else b""
        connection.sendall(b"HTTP/1.1 200 OK\\r\\n%sContent-Length: %d\\r\\n\\r\\n%s" % (etag, len(body), body))
print(LISTENER.getsockname()[1], flush=True)
while True:
    threading.Thread(target=serve, args=(LISTENER.accept()[0],), daemon=True).start()
`;

/** Calls with the address of a receiver that is there meanwhile. @param mbPerSecond of its line */
export async function withReceiver<T>(
  call: (endpoint: string) => Promise<T>,
  mbPerSecond = Number.POSITIVE_INFINITY,
): Promise<T> {
  const child = spawn(
    'python3',
    ['-I', '-c', RECEIVE, mbPerSecond === Number.POSITIVE_INFINITY ? 'inf' : `${mbPerSecond}`],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...bareEnvironment },
    },
  );
  const ended = once(child, 'close');
  try {
    const [port] = await once(createInterface({ input: child.stdout }), 'line');
    return await call(`http://127.0.0.1:${port}`);
  } finally {
    child.kill('SIGKILL');
    await ended;
  }
}
