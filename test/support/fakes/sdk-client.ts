/** What a fake answers to one call: a value, or an error that is thrown. */
export type Reply = object | Error;
type Replies = Readonly<Record<string, (input: Record<string, unknown>, call: number) => Reply>>;

export interface SentCommand {
  readonly name: string;
  readonly input: Record<string, unknown>;
}

/** An error as the SDK throws it: known by its name. */
export function awsError(name: string, message = name): Error {
  return Object.assign(new Error(message), { name });
}

/**
 * Stands in for an SDK client: answers each command by its name (`SendCommandCommand`), and throws on any that no reply was given for.
 * `T` is the client's type; only its `send` is there, as the ports ask for.
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
