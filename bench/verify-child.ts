import { createReadStream } from 'node:fs';
import { DEFAULT_CAPS, verifyArchive } from '../core/archive/verify.ts';

// A separate process, so that its peak memory is that of Verify archive, including Node and the TypeScript loader.
const [file = ''] = process.argv.slice(2);
const peakMb = () => Math.round(process.resourceUsage().maxRSS / 1024);
const idleMb = peakMb();
const began = performance.now();
const { bytes, expandedBytes } = await verifyArchive(createReadStream(file), {
  caps: DEFAULT_CAPS,
  capture: { names: ['runctl.yaml', 'pyproject.toml'], maxBytes: 256 * 1024 },
});
console.log(JSON.stringify({ ms: performance.now() - began, bytes, expandedBytes, peakMb: peakMb(), idleMb }));
