import { realpath, stat } from 'node:fs/promises';
import { basename, dirname, relative, resolve, sep } from 'node:path';
import { PackError } from './pack-error.ts';
import { type Listing, type ListOptions, listFiles } from './pack-list.ts';

/**
 * Adds the files and folders of the key `include` to a project's listing, each under its own name at the top:
 * `../common` becomes `common/`.
 * @throws PackError for a path that does not exist, is inside the project or contains it, or whose name is taken
 */
export async function addIncluded(
  folder: string,
  project: Listing,
  include: readonly string[],
  options: ListOptions,
): Promise<Listing> {
  const top = await realpath(folder);
  let listing = project;
  for (const path of include) listing = await addOne(listing, path, top, options);
  if (include.length === 0) return listing;
  return { ...listing, files: [...listing.files].sort((a, b) => (a.name < b.name ? -1 : 1)) };
}

async function addOne(listing: Listing, path: string, top: string, options: ListOptions): Promise<Listing> {
  const place = await findPlace(path, top);
  const name = basename(place);
  const taken = listing.files.find((file) => file.name === name || file.name.startsWith(`${name}/`));
  if (taken)
    throw new PackError(
      `include: ${path} is packed as ${name}, and ${taken.name} is already in the archive.`,
      'Rename one of the two.',
    );
  const isFolder = (await stat(place)).isDirectory();
  const rename = (inner: string) => (isFolder ? `${name}/${inner}` : inner);
  const { files, secrets, warnings, notes, git, repository } = isFolder
    ? await listFiles(place, { ...options, isOutput: (inner) => options.isOutput?.(rename(inner)) === true })
    : await listFiles(dirname(place), { ...options, only: name });
  const mark = (text: string) => `include: ${path}: ${text}`;
  return {
    ...listing,
    files: [...listing.files, ...files.map((file) => ({ ...file, name: rename(file.name) }))],
    secrets: [...listing.secrets, ...secrets.map(rename)],
    warnings: [...listing.warnings, ...warnings.map(mark)],
    notes: [...listing.notes, ...notes.map(mark)],
    folders: isFolder ? [...listing.folders, { path: place, name }] : listing.folders,
    git: listing.git && withDifferences(listing.git, path, repository === listing.repository ? git : null),
  };
}

type Commit = NonNullable<Listing['git']>;

/** @param included null: the files are not part of the project's commit */
function withDifferences(project: Commit, path: string, included: Commit | null): Commit {
  const more = included?.differences ?? ['not part of this commit'];
  const differences = [...project.differences, ...more.map((difference) => `${path}: ${difference}`)];
  return { ...project, dirty: differences.length > 0, differences };
}

async function findPlace(path: string, top: string): Promise<string> {
  const place = await realpath(resolve(top, path)).catch((cause: unknown) => {
    throw new PackError(`include: ${path} does not exist.`, 'Correct the key include in runctl.yaml.', { cause });
  });
  const [first] = relative(top, place).split(sep);
  if (first !== '..')
    throw new PackError(
      `include: ${path} is inside the project, whose files are packed anyway.`,
      `Remove it from the key include. To pack what git ignores, add the line !${relative(top, place)} to .runctlignore.`,
    );
  if (top.startsWith(`${place}${sep}`))
    throw new PackError(
      `include: ${path} contains the project itself.`,
      'Name the folders beside the project one by one.',
    );
  return place;
}
