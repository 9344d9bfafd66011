import { PROTOCOL } from './messages.ts';

export interface RunnerRefusal {
  readonly ok: false;
  readonly error: { readonly name: string; readonly message: string };
}

/** What the runner printed was not an answer: cut, garbled, empty, or of another protocol. */
export class UnreadableAnswer extends Error {
  override readonly name = 'UnreadableAnswer';
}

/**
 * Reads the one JSON object that the runner prints.
 * @throws UnreadableAnswer; never with the text itself, which may hold the user's log
 */
export function parseAnswer<T extends object>(stdout: string): T | RunnerRefusal {
  let value: unknown;
  try {
    value = JSON.parse(stdout);
  } catch {
    throw new UnreadableAnswer(`the runner's answer of ${stdout.length} characters is not JSON`);
  }
  if (typeof value !== 'object' || value === null || !('protocol' in value) || value.protocol !== PROTOCOL) {
    throw new UnreadableAnswer(`the runner's answer does not speak protocol ${PROTOCOL}`);
  }
  if (!('ok' in value) || typeof value.ok !== 'boolean') throw new UnreadableAnswer("the runner's answer has no ok");
  return value as unknown as T | RunnerRefusal;
}

export function isRefusal(answer: object): answer is RunnerRefusal {
  return 'ok' in answer && answer.ok === false;
}
