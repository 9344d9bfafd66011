import { END, file, folder, GNU, gnuLong, pax, V7 } from './build.ts';

/** A good tar with an entry in every form there is: what attacks and damage are tried on. */
export const SAMPLE = Buffer.concat([
  pax({ comment: '0123456789abcdef0123456789abcdef01234567' }, 'g'),
  folder('./'),
  file('./train.py', 'print(1)\n'.repeat(90)),
  pax({ path: `${'long/'.repeat(30)}x.py`, mtime: '1.5' }),
  file('short'),
  gnuLong(`${'gnu/'.repeat(40)}y.py`),
  file('other', 'y', { magic: GNU }),
  file('b.py', 'x', { prefix: 'in/front' }),
  folder('old/', { magic: V7, type: '\0' }),
  file('old/z.py', 'z', { magic: V7, type: '\0' }),
  END,
]);
