import { parentPort, workerData } from 'node:worker_threads';
import { deflate } from 'libdeflate';

// A thread of the command. JavaScript, since Node.js starts a thread from a file that it can read itself.
parentPort.on('message', (content) => {
  const deflated = deflate(content, workerData);
  parentPort.postMessage(deflated, [deflated.buffer]);
});
