import { spawnSync } from 'node:child_process';
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type InstallSetup, isRoot, useInstallSetup } from '../support/instance/install-setup.ts';
import { sharedUv } from '../support/instance/shared-uv.ts';
import { buildWheel } from '../support/instance/wheels.ts';

/** Runs `use` with a home on a disk of its own, 8 MB large. */
async function withSmallHome(setup: InstallSetup, use: () => Promise<void>): Promise<void> {
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', setup.home], { encoding: 'utf8' });
  if (mounted.status !== 0) throw new Error(`mount: ${mounted.stderr}`);
  try {
    mkdirSync(setup.project, { recursive: true });
    mkdirSync(setup.userBin, { recursive: true });
    symlinkSync(sharedUv(), join(setup.userBin, 'uv'));
    await use();
  } finally {
    spawnSync('umount', [setup.home]);
  }
}

/** Containers may be root and still not mount. */
function canMount(): boolean {
  const mounted = spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']);
  return isRoot && mounted.status === 0;
}

const installSetup = useInstallSetup();

describe.skipIf(!canMount())('a disk that is too small [needs root and mount]', () => {
  it.each(['auto', 'pip'] as const)('is named as what it is, and leaves no record: %s', async (installer) => {
    const setup = installSetup();
    await setup.serve([buildWheel({ name: 'zz-large', version: '1.0', padding: 20_000_000 })]);
    const python = setup.systemPython();
    await withSmallHome(setup, async () => {
      setup.write('requirements.txt', 'zz-large\n');
      const run = await setup.install({ python, installer });
      expect(run.result.error?.name).toBe('DiskFull');
      expect(run.result.error?.message).toMatch(/the disk is full: \d+ MB free under .*grow the volume/);
      expect(run.log).not.toContain('because uv failed');
      expect((await setup.install({ python, installer })).result.error?.name).toBe('DiskFull');
    });
  });
});
