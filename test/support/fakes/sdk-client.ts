/** The answer of a fake to one call: a value, or an error to throw. */
export type Reply = object | Error;
type Replies = Readonly<Record<string, (input: Record<string, unknown>, call: number) => Reply>>;

export interface SentCommand {
  readonly name: string;
  readonly input: Record<string, unknown>;
}

/** An error as the SDK throws it, identified by its name. */
export function awsError(name: string, message = name): Error {
  return Object.assign(new Error(message), { name });
}

/**
 * Replaces an SDK client. Answers each command by its name (`SendCommandCommand`), and throws if it has no
 * reply for it.
 * `T` is the client's type. Only `send` exists, which is all that the ports need.
 */
export function fakeClient<T extends { send: unknown }>(replies: Replies) {
  const sent: SentCommand[] = [];
  const send = (command: { constructor: { name: string }; input: Record<string, unknown> }) => {
    const { name } = command.constructor;
    const reply = replies[name];
    if (!reply) return Promise.reject(new Error(`nobody expected ${name}`));
    const call = sent.filter((one) => one.name === name).length;
    sent.push({ name, input: command.input });
    const answer = reply(command.input, call);
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
  };
  return { client: { send } as unknown as Pick<T, 'send'>, sent };
}
