import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findProject } from '../../../cli/project/project.ts';

let base: string;
let folder: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'runctl-project-'));
  folder = join(base, 'My Nets');
  mkdirSync(folder);
});
afterEach(() => rmSync(base, { recursive: true }));

describe('project and instance of a folder', () => {
  it('come from flags, runctl.yaml, pyproject.toml, the folder, in this order', async () => {
    const project = (flags: object = {}) => findProject(folder, flags);
    expect(await project()).toMatchObject({
      name: { value: 'my-nets', from: "the folder's name" },
      instance: { value: 'tag:Project=my-nets', from: 'the project' },
      file: {},
    });
    writeFileSync(join(folder, 'pyproject.toml'), '[project]\nname = "Deep.Nets"\n');
    expect((await project()).name).toEqual({ value: 'deep.nets', from: 'pyproject.toml' });
    writeFileSync(join(folder, 'runctl.yaml'), 'project: digits\ninstance: i-0123456789abcdef0\n');
    expect(await project()).toMatchObject({
      name: { value: 'digits', from: 'runctl.yaml' },
      instance: { value: 'i-0123456789abcdef0', from: 'runctl.yaml' },
    });
    expect(await project({ project: 'other', instance: 'tag:a=b' })).toMatchObject({
      name: { value: 'other', from: '--project' },
      instance: { value: 'tag:a=b', from: '--instance' },
    });
  });

  it.each(['runctl.yml', '.runctl.yaml', '.runctl.yml', 'Runctl.yaml', 'RUNCTL.YML', 'runctl.json', 'runctl.yaml.txt'])(
    'refuses %s by its name, alone and beside runctl.yaml',
    async (name) => {
      writeFileSync(join(folder, name), 'script: fit.py\n');
      await expect(findProject(folder, {})).rejects.toThrow(
        `${JSON.stringify(name)} is not read: the run spec is named runctl.yaml. Rename the file.`,
      );
      writeFileSync(join(folder, 'runctl.yaml'), 'script: fit.py\n');
      await expect(findProject(folder, {})).rejects.toThrow(
        `${JSON.stringify(name)} and runctl.yaml are in one folder, and only runctl.yaml is read.`,
      );
    },
  );

  it('says which key of runctl.yaml is wrong', async () => {
    writeFileSync(join(folder, 'runctl.yaml'), 'scirpt: train.py\n');
    await expect(findProject(folder, {})).rejects.toThrow(/runctl.yaml: unknown key "scirpt"; did you mean script/);
  });
});
