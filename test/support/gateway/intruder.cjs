// Another user of this machine: `node -e <this> <JSON>` with another uid. Prints each result.
const { readdirSync, readFileSync } = require('node:fs');
const http = require('node:http');

const { tries, files } = JSON.parse(process.argv.at(-1));

function attempt({ url, method = 'GET', headers = {}, body = '' }) {
  return new Promise((resolve) => {
    const request = http.request(
      url,
      { method, headers: { 'content-length': Buffer.byteLength(body), ...headers } },
      (answer) => {
        let text = '';
        answer.on('data', (chunk) => {
          text += chunk;
        });
        answer.on('end', () => resolve({ status: answer.statusCode, headers: answer.headers, text }));
      },
    );
    request.on('error', (error) => resolve({ status: error.code, headers: {}, text: '' }));
    request.end(body);
  });
}

function read(file) {
  try {
    return readFileSync(file, 'latin1');
  } catch (error) {
    return error.code;
  }
}

void (async () => {
  const answers = [];
  for (const one of tries) answers.push(await attempt(one));
  const processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const seen = processes.map((pid) => `${read(`/proc/${pid}/cmdline`)} ${read(`/proc/${pid}/environ`)}`).join('\n');
  console.log(JSON.stringify({ uid: process.getuid(), answers, files: files.map(read), seen }));
})();
