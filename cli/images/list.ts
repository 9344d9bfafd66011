import type { Context } from '../context.ts';
import { EXIT, type ExitCode } from '../errors.ts';
import { formatTime } from '../terminal/times.ts';
import { imagesOf } from './images.ts';

export async function listImages({ account, terminal }: Context, project: string, json: boolean): Promise<ExitCode> {
  const images = await imagesOf(account, project);
  if (json) terminal.json(images);
  else if (images.length === 0) terminal.note(`The project ${project} has no images. To make one: runctl image bake`);
  else {
    terminal.table(
      ['IMAGE', 'CREATED', 'STATE', 'GIB', 'FROM'],
      images.map(({ id, createdAt, state, current, publishedAt, gigabytes, base }) => [
        id,
        formatTime(Date.parse(createdAt)),
        current ? 'current' : state === 'available' && publishedAt === null ? 'not tested' : state,
        String(gigabytes),
        base ?? '',
      ]),
    );
  }
  return EXIT.succeeded;
}
