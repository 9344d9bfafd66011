import { createProgram, runProgram } from '../cli/main.ts';
import { addLocalCommand } from '../local/commands/local.ts';

// The outermost layer: the `runctl` command with what only a checkout has. cli/ knows nothing of local/.
const program = createProgram();
addLocalCommand(program);
/** bin/runctl.js waits for it. */
export const ended = runProgram(program);
