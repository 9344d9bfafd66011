/**
 * The value of an argument of a script: `--lr 0.1`, `--lr=0.1`, `-lr 0.1`, or `optimizer.lr=0.1` as Hydra takes it. Of one that is given
 * twice the last counts, as with argparse. `-` and `_` are the same in a name, as in click and argparse.
 * @param name without leading dashes
 * @returns `true` for a flag; null: it was not given
 */
export function argumentNamed(args: readonly string[], name: string): string | null {
  let found: string | null = null;
  for (const [index, arg] of args.entries()) {
    const equals = arg.indexOf('=');
    if (equals > 0 && isNamed(arg.slice(0, equals), name)) found = arg.slice(equals + 1);
    else if (arg.startsWith('-') && isNamed(arg, name)) found = valueBehind(args, index);
  }
  return found;
}

function isNamed(arg: string, name: string): boolean {
  return plain(arg.replace(/^(--?|\+\+?)/, '')) === plain(name);
}

function plain(name: string): string {
  return name.replaceAll('-', '_');
}

/** A negative number is a value, not an option. */
function valueBehind(args: readonly string[], index: number): string {
  const next = args[index + 1];
  return next === undefined || /^-(?!\.?\d)/.test(next) ? 'true' : next;
}
