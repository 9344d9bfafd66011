import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type InstallSetup, useInstallSetup } from '../support/instance/install-setup.ts';
import { buildWheel } from '../support/instance/wheels.ts';

const installSetup = useInstallSetup();

const TORCH = { name: 'zz-torch', version: '2.0' };
const index = [
  buildWheel({ name: 'zz-leaf', version: '1.1' }),
  buildWheel({ name: 'zz-leaf', version: '1.0' }),
  buildWheel({ name: 'zz-needs-torch', version: '1.0', requires: ['zz-torch>=1', 'zz-leaf'] }),
  buildWheel({ name: 'zz-torch', version: '5.0' }),
];
const LEAF = 'import zz_leaf; print(zz_leaf.__version__)';

/** Two projects on one instance that pin different versions of one package. */
async function twoProjects(): Promise<InstallSetup> {
  const setup = installSetup();
  setup.useUv();
  await setup.serve(index);
  setup.write('requirements.txt', 'zz-leaf==1.0\n');
  setup.write('../other/requirements.txt', 'zz-leaf==1.1\n');
  return setup;
}

describe('environment: project', () => {
  it.each(['uv', 'pip'] as const)('keeps the packages of two projects apart, with %s', async (installer) => {
    const setup = await twoProjects();
    const python = setup.systemPython([TORCH]);
    const options = { python, installer, environment: 'project' } as const;
    const mine = await setup.install(options);
    const other = await setup.install({ ...options, project: 'other' });

    expect(mine.log).toContain("created the project's environment");
    expect(mine.result).toMatchObject({ cached: false, packages: 1, warnings: [] });
    expect(mine.result.python).toBe(join(setup.home, '.runctl/digits/environment/bin/python3'));
    expect(setup.ask(mine.result.python, LEAF)).toBe('1.0');
    expect(setup.ask(other.result.python, LEAF)).toBe('1.1');
    expect((await setup.install(options)).result.cached).toBe(true);
    expect((await setup.install({ ...options, project: 'other' })).result).toMatchObject({ cached: true });
    expect(() => setup.ask(python, LEAF)).toThrow(/zz_leaf/);
  });

  it.each([
    ['uv', 'a system'],
    ['pip', 'a system'],
    ['uv', 'a virtual environment'],
    ['pip', 'a virtual environment'],
  ] as const)("uses the image's torch, with %s, of %s", async (installer, image) => {
    const setup = installSetup();
    setup.useUv();
    const { downloads } = await setup.serve(index);
    const isVenv = image !== 'a system';
    const python = isVenv ? setup.venv({ installed: [TORCH], pip: true }) : setup.systemPython([TORCH]);
    if (isVenv) setup.lock(setup.ask(python, 'import sysconfig; print(sysconfig.get_path("purelib"))'));
    setup.write('requirements.txt', 'zz-needs-torch\n');

    const run = await setup.install({ python, installer, environment: 'project', unprivileged: isVenv });

    expect(run.code).toBe(0);
    expect(downloads().filter((name) => name.startsWith('zz_torch'))).toEqual([]);
    const torch = 'import zz_torch; print(zz_torch.__version__, zz_torch.__file__)';
    expect(setup.ask(run.result.python, torch)).toMatch(/^2\.0 /);
    expect(setup.ask(run.result.python, torch)).not.toContain('.runctl');
    expect(setup.ask(run.result.python, LEAF)).toBe('1.1');

    // Another version comes in front of the image's, for this project alone.
    setup.write('requirements.txt', 'zz-torch>=3\n');
    const newer = await setup.install({ python, installer, environment: 'project', unprivileged: isVenv });
    expect(setup.ask(newer.result.python, torch)).toMatch(/^5\.0 .*\.runctl/);
    expect(setup.ask(python, torch)).toMatch(/^2\.0 /);
  });

  it('gives two projects with contradicting pins their own, in turn, ten times, behind an image with a large package', {
    timeout: 180_000,
  }, async () => {
    const setup = installSetup();
    setup.useUv();
    const { downloads } = await setup.serve(index);
    // As many files as torch with CUDA has, about.
    const files = Object.fromEntries(
      Array.from({ length: 12_000 }, (_, at) => [`zz_torch/lib${at % 100}/part${at}.h`, `// ${at}\n`]),
    );
    const python = setup.systemPython([{ ...TORCH, files }]);
    const projects = { digits: '.', other: '../other' };
    const torch = 'import zz_torch; print(zz_torch.__version__, zz_torch.__file__)';
    const pythons: Record<string, string> = {};
    const pins: Record<string, string> = {};
    for (let turn = 0; turn < 10; turn += 1) {
      for (const [at, [project, folder]] of Object.entries(projects).entries()) {
        // Both change their pins at each turn, to what the other has just given up.
        pins[project] = (turn + at) % 2 === 0 ? '1.0' : '1.1';
        setup.write(`${folder}/requirements.txt`, `zz-needs-torch\nzz-leaf==${pins[project]}\n`);
        const run = await setup.install({ python, environment: 'project', project });
        expect(run, run.log).toMatchObject({ code: 0, result: { cached: false, warnings: [] } });
        pythons[project] = run.result.python;
        for (const [name, own] of Object.entries(pythons))
          expect(setup.ask(own, LEAF), `${name} at turn ${turn}`).toBe(pins[name]);
      }
    }
    expect(downloads().filter((name) => name.startsWith('zz_torch'))).toEqual([]);
    for (const own of Object.values(pythons)) {
      expect(setup.ask(own, torch)).toMatch(/^2\.0 /);
      expect(setup.ask(own, torch)).not.toContain('.runctl');
    }
    expect(() => setup.ask(python, LEAF)).toThrow(/zz_leaf/);
  });

  it("does not show the user's site, where shared projects install", async () => {
    const setup = await twoProjects();
    const python = setup.systemPython();
    await setup.install({ python, project: 'other' });
    setup.write('requirements.txt', 'zz-torch\n');
    const run = await setup.install({ python, environment: 'project' });
    expect(() => setup.ask(run.result.python, LEAF)).toThrow(/zz_leaf/);
  });

  it('is created anew for another interpreter, and after it was left incomplete', async () => {
    const setup = await twoProjects();
    const first = await setup.install({ python: setup.systemPython([TORCH]), environment: 'project' });
    const python = setup.systemPython();
    const again = await setup.install({ python, environment: 'project' });
    expect(again.log).toContain("created the project's environment");
    expect(() => setup.ask(again.result.python, 'import zz_torch')).toThrow(/zz_torch/);
    writeFileSync(join(setup.home, '.runctl/digits/environment/runctl.json'), '');
    const repaired = await setup.install({ python, environment: 'project' });
    expect(repaired.result).toMatchObject({ cached: false, python: first.result.python });
    expect(setup.ask(repaired.result.python, LEAF)).toBe('1.0');
  });
});

describe('environment: shared', () => {
  it('warns with both names when a run changes what another project installed', async () => {
    const setup = await twoProjects();
    const python = setup.systemPython();
    expect((await setup.install({ python })).result.warnings).toEqual([]);

    const run = await setup.install({ python, project: 'other' });

    expect(run.result.warnings).toEqual([
      expect.stringMatching(
        /^The project other installed zz-leaf 1\.1, where the project digits has installed 1\.0\..*environment: project/,
      ),
    ]);
    expect(run.log).toContain('warning: The project other installed zz-leaf 1.1');
    expect((await setup.install({ python, project: 'other' })).result).toMatchObject({ cached: true, warnings: [] });
    // Only what a project needs by its last install counts.
    setup.write('requirements.txt', 'zz-leaf==1.1\n');
    expect((await setup.install({ python })).result.warnings).toEqual([]);
    setup.write('../third/requirements.txt', 'zz-leaf==1.1\nzz-torch\n');
    expect((await setup.install({ python, project: 'third' })).result.warnings).toEqual([]);
  });
});
