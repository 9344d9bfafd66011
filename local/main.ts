import { createProgram, fail } from '../cli/main.ts';
import { addLocalCommand } from './command.ts';

// The outermost layer: the `runctl` command with what only a checkout has. cli/ knows nothing of local/.
const program = createProgram();
addLocalCommand(program);
try {
  await program.parseAsync();
} catch (error) {
  fail(error);
}
