/**
 * Makes lines of log messages: a message ends with its own newline, or is a part of a line. Of a line that was written over
 * again and again by carriage returns, as progress bars are, the last state is shown.
 */
export class LineAssembler {
  #rest = '';

  /** Takes a message. @returns the lines that are complete now, without their newlines. */
  push(message: string): string[] {
    const parts = (this.#rest + message).split('\n');
    const open = parts.pop() ?? '';
    const cut = open.lastIndexOf('\r');
    // A progress bar ends no line for hours: what it says now is worth a line of its own.
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
