import type { Context } from '../context.ts';
import { type Found, findProject } from './project.ts';

/** The project whose runs a person means: the one of the folder that they stand in, unless told. */
export async function projectFor(
  { folder }: Pick<Context, 'folder'>,
  { project }: { readonly project?: string },
): Promise<Found<string>> {
  return (await findProject(folder, project === undefined ? {} : { project })).name;
}
