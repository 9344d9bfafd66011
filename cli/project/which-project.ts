import type { Context } from '../context.ts';
import { type Found, findProject } from './project.ts';

/** The project whose runs are meant: that of the current folder, unless --project names another. */
export async function projectFor(
  { folder }: Pick<Context, 'folder'>,
  { project }: { readonly project?: string },
): Promise<Found<string>> {
  return (await findProject(folder, project === undefined ? {} : { project })).name;
}
