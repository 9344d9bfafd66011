import { join } from 'node:path';
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { localSettings } from '../local/cloud/clients.ts';
import { projectRoot } from '../local/cloud/paths.ts';
import type { LocalState } from '../local/cloud/state.ts';
import { ensureVenv } from '../local/tools/python-tools.ts';
import { BUCKET, send, type Target } from './checkpoint-sender.ts';
import { bareEnvironment, bestOf, timed } from './processes.ts';
import { withReceiver } from './receiver.ts';
import { atLeast, type Section } from './report.ts';

const ROUNDS = 3;
const MB_PER_SECOND = 400;
const AWS_CLI = join(projectRoot, 'local', 'tools', 'requirements-aws.txt');
/** One request without a digest. */
const PUT = `import http.client, os, sys, time, urllib.parse
parts = urllib.parse.urlsplit(sys.argv[1])
begun = time.monotonic()
connection = http.client.HTTPConnection(parts.hostname, parts.port, blocksize=1 << 20)
with open(sys.argv[2], "rb") as file:
    connection.request("PUT", parts.path + "?" + parts.query, file, {"Content-Length": str(os.stat(sys.argv[2]).st_size)})
    response = connection.getresponse()
    response.read()
if response.status != 200:
    sys.exit("S3 answered %d" % response.status)
print(time.monotonic() - begun)
`;

interface Speed {
  readonly state: LocalState;
  readonly work: string;
  /** Of random bytes. */
  readonly file: string;
  readonly bytes: number;
}

/** Sends a large file by the keeper's uploader, by the AWS CLI and by one plain PUT, in turns: to the emulator, and to what only receives. */
export async function benchCheckpointSpeed(
  { state, work, file, bytes }: Speed,
  say: (line: string) => void,
): Promise<Section> {
  const venv = await ensureVenv('aws', AWS_CLI, say);
  const s3 = new S3Client({ ...localSettings(state), forcePathStyle: true });
  await s3.send(new CreateBucketCommand({ Bucket: BUCKET }));
  const cpu: number[] = [];
  const keeper = async (target: Target) => {
    const sent = await send(target, join(work, 'sender'), file);
    cpu.push(sent.cpu);
    return sent.seconds;
  };
  const cli = async ({ endpoint, credentials }: Target) => {
    const words = ['s3', 'cp', file, `s3://${BUCKET}/cli`, '--no-progress', '--endpoint-url', endpoint];
    const env = {
      ...bareEnvironment,
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      AWS_REGION: state.region,
      AWS_EC2_METADATA_DISABLED: 'true',
      AWS_CONFIG_FILE: '/dev/null',
      AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    };
    return (await timed(join(venv, 'bin', 'aws'), words, { env })).ms / 1_000;
  };
  const put = async () => {
    const url = await getSignedUrl(s3, new PutObjectCommand({ Bucket: BUCKET, Key: 'put' }));
    return Number((await timed('python3', ['-I', '-c', PUT, url, file])).stdout);
  };
  const emptied = (measure: () => Promise<number>) => async () => {
    const seconds = await measure();
    await empty(s3);
    return seconds;
  };
  say(`a file of ${bytes / 1e6} MB to the emulator, ${ROUNDS} rounds`);
  const emulator = await bestOf(ROUNDS, {
    keeper: emptied(() => keeper(state)),
    cli: emptied(() => cli(state)),
    put: emptied(put),
  });
  s3.destroy();
  say(`the same to what only receives, ${ROUNDS} rounds`);
  const receiver = await withReceiver(async (endpoint) => {
    const target = { endpoint, credentials: state.credentials };
    return bestOf(ROUNDS, { keeper: () => keeper(target), cli: () => cli(target) });
  });
  const speed = (seconds: number) => bytes / 1e6 / seconds;
  const mbs = (name: string, seconds: number, note = '') =>
    ({ name, value: speed(seconds), unit: 'MB/s', target: null, note }) as const;
  const processor = ((Math.min(...cpu) * 1e9) / bytes).toFixed(2);
  return {
    title: `Upload of one file of random bytes on this machine (best of ${ROUNDS}, in turns)`,
    rows: [
      mbs("emulator: the keeper's uploader", emulator.keeper, 'by forms, which the emulator copies several times'),
      mbs('emulator: aws s3 cp, the whole process', emulator.cli),
      mbs('emulator: one plain PUT by Python', emulator.put, 'the limit of the emulator itself'),
      { name: 'emulator: the uploader to aws s3 cp', value: emulator.cli / emulator.keeper, unit: 'x', target: null },
      {
        ...mbs("receiver: the keeper's uploader", receiver.keeper, `${processor} s of processor time a GB`),
        target: atLeast(MB_PER_SECOND),
      },
      mbs('receiver: aws s3 cp, the whole process', receiver.cli),
      {
        name: 'receiver: the uploader to aws s3 cp',
        value: receiver.cli / receiver.keeper,
        unit: 'x',
        target: atLeast(1),
      },
    ],
  };
}

/** The emulator holds objects in memory. */
async function empty(s3: S3Client): Promise<void> {
  const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket: BUCKET }));
  for (const { Key } of Contents) await s3.send(new DeleteObjectCommand({ Bucket: BUCKET, Key }));
}
