/** What a run starts: exactly one of the three. */
export interface Entry {
  /** Path of a file in the project. */
  readonly script: string | null;
  /** For `python -m`. */
  readonly module: string | null;
  /** A program and its arguments. */
  readonly command: readonly string[] | null;
}

/** The keys of a spec of which a run has one. */
export const ENTRY_KEYS = ['script', 'module', 'command'] as const;

/** An entry as people read it: `train.py`, `-m pkg.train`, `torchrun train.py`. null: not known. */
export function entryText({ script, module, command }: Partial<Entry>): string | null {
  if (module) return `-m ${module}`;
  if (command) return command.map(quoteWord).join(' ');
  return script ?? null;
}

function quoteWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** The text of a command is not one that can be started without a shell. The message says what is wrong with it. */
export class BadCommand extends Error {
  override readonly name = 'BadCommand';
}

const SPACE = /[ \t\n]/;
const OPERATOR = /[|&;<>()]/;
const EXPANSION = /[$`]/;

/**
 * Splits a command into words as a shell does: at spaces, with quotes and backslashes. What only a shell can do, such as
 * pipes and variables, is refused.
 * @throws BadCommand
 */
export function splitCommand(text: string): string[] {
  const words: string[] = [];
  let word: string | null = null;
  let quote: '"' | "'" | null = null;
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at] as string;
    if (quote === "'") {
      if (character === quote) quote = null;
      else word += character;
    } else if (character === '\\') {
      at += 1;
      const next = text[at];
      if (next === undefined) throw new BadCommand('ends with a backslash');
      // In double quotes a backslash keeps its meaning before other characters.
      word = `${word ?? ''}${quote === '"' && !/["\\$`]/.test(next) ? '\\' : ''}${next}`;
    } else if (EXPANSION.test(character)) {
      throw new BadCommand(`has an unquoted ${character}; ${NO_SHELL}`);
    } else if (quote === '"') {
      if (character === quote) quote = null;
      else word += character;
    } else if (character === '"' || character === "'") {
      quote = character;
      word ??= '';
    } else if (SPACE.test(character)) {
      if (word !== null) words.push(word);
      word = null;
    } else if (OPERATOR.test(character)) {
      throw new BadCommand(`has an unquoted ${character}; ${NO_SHELL}`);
    } else word = `${word ?? ''}${character}`;
  }
  if (quote !== null) throw new BadCommand(`has a ${quote} without an end`);
  if (word !== null) words.push(word);
  return words;
}

const NO_SHELL = 'no shell reads it: quote it, or put the line into a .sh script';

/** What is wrong with the words of a command, or null. */
export function commandProblem(words: readonly string[]): string | null {
  const [program] = words;
  if (program === undefined || program === '') return 'names no program';
  if (/^[A-Za-z_]\w*=/.test(program)) return `begins with ${program.split('=')[0]}=; set variables with the key env`;
  if (program.startsWith('-')) return `begins with an option, ${program}`;
  return null;
}

/** The words of a command, given as a list or as text. @throws BadCommand */
export function commandWords(command: string | readonly string[]): readonly string[] {
  return typeof command === 'string' ? splitCommand(command) : command;
}
