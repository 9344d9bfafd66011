/**
 * Joins log messages to lines: a message ends with a newline, or is a part of a line. Of a line that carriage returns
 * overwrite, as progress bars do, only the last state is kept.
 */
export class LineAssembler {
  #rest = '';

  /** Takes a message. @returns the lines that are complete now, without their newlines. */
  push(message: string): string[] {
    const parts = (this.#rest + message).split('\n');
    const open = parts.pop() ?? '';
    const cut = open.lastIndexOf('\r');
    // A progress bar may not end its line for hours, so its current state becomes a line of its own.
    const bar = cut > 0 ? lastState(open.slice(0, cut)) : '';
    this.#rest = cut >= 0 ? open.slice(cut + 1) : open;
    return [...parts.map(lastState), ...(bar === '' ? [] : [bar])];
  }

  /** The unfinished line, if there is one. */
  end(): string[] {
    const rest = lastState(this.#rest);
    this.#rest = '';
    return rest === '' ? [] : [rest];
  }
}

function lastState(line: string): string {
  return (
    line
      .split('\r')
      .filter((part) => part !== '')
      .at(-1) ?? ''
  );
}
