import { describe, expect, it } from 'vitest';
import { type InstallRun, useInstallSetup } from '../support/instance/install-setup.ts';
import { waitFor } from '../support/instance/processes.ts';
import { buildWheel } from '../support/instance/wheels.ts';

const installSetup = useInstallSetup();

/** The longest time without a line in the log, in seconds. */
const longestSilence = ({ times, milliseconds }: InstallRun) =>
  Math.max(...[...times, milliseconds].map((time, place) => time - (times[place - 1] ?? 0))) / 1000;

describe('while an install lasts', () => {
  it.each(['uv', 'pip'] as const)('it reports its progress at least every 15 s: %s', async (installer) => {
    const setup = installSetup();
    setup.useUv();
    const slow = (name: string, padding: number) => buildWheel({ name, version: '1.0', padding });
    // 18 s of one download that no tool says a word about.
    await setup.serve([slow('zz-large', 3_600_000), slow('zz-small', 1000), slow('zz-tiny', 10)], { rate: 200_000 });
    const python = setup.systemPython();
    setup.write('requirements.txt', 'zz-tiny\nzz-small\nzz-large\n');

    const run = await setup.install({ python, installer });

    expect(run.result.packages).toBe(3);
    expect(run.milliseconds).toBeGreaterThan(16_000);
    expect(longestSilence(run)).toBeLessThan(15);
    const spoken = run.log.match(/^downloading.*$/m)?.[0];
    // As "downloading 2 of 3, 2 MB, 11 s: zz-large (3.4MiB)"; pip does not know how many there will be.
    expect(spoken).toMatch(installer === 'uv' ? /^downloading 2 of 3, / : /^downloading, /);
    expect(spoken).toMatch(/, \d+ [kM]B, 1\d s: zz.large/);

    const phases = [...new Set(run.progress.map(({ phase }) => phase))];
    expect(phases).toEqual(['resolving', 'downloading', 'installing']);
    const downloading = run.progress.filter(({ phase }) => phase === 'downloading');
    const bytes = downloading.map((report) => report.bytes ?? 0);
    expect(bytes).toEqual([...bytes].sort((a, b) => a - b));
    expect(bytes.at(-1)).toBeGreaterThan(2_000_000);
    expect(downloading.filter(({ current }) => /zz.large/.test(current ?? '')).length).toBeGreaterThan(10);
    expect(downloading.at(-1)?.elapsed).toBeGreaterThan(14);
    expect(run.progress.at(-1)).toMatchObject({ phase: 'installing', total: 3 });
    // At most four a second.
    expect(run.progress.length).toBeLessThanOrEqual((run.milliseconds / 1000) * 4);
  });

  it('it reports when nothing happens', async () => {
    const setup = installSetup();
    setup.useUv();
    await setup.serve([buildWheel({ name: 'zz-stuck', version: '1.0', padding: 2_000_000 })], { silentAt: 'zz_stuck' });
    setup.write('requirements.txt', 'zz-stuck\n');
    const python = setup.systemPython();
    let log = '';
    let pid = 0;
    const run = setup.install({
      python,
      onStart: (child) => {
        pid = child.pid ?? 0;
        child.stdout?.on('data', (chunk) => {
          log += chunk;
        });
      },
    });
    await waitFor(() => (/no progress for/.test(log) ? true : null), 45);
    process.kill(-pid, 'SIGKILL');
    await run;
    expect(log).toMatch(
      /^no progress for 2\d s, still downloading 0 of 1, .*2\d s: zz-stuck .*: the package index may be slow or unreachable/m,
    );
    expect(log.match(/^downloading/m)).not.toBeNull();
  });
});
