import { expect, it } from 'vitest';
import { createProgram } from '../../cli/main.ts';
import { addLocalCommand } from '../../local/commands/local.ts';
import { cliReference } from './cli-reference.ts';

it('docs/reference/cli.md is what the commands print (npm run docs:cli writes it)', async () => {
  const program = createProgram();
  addLocalCommand(program);
  await expect(cliReference(program)).toMatchFileSnapshot('../../docs/reference/cli.md');
});
