/** Replaces each `{{ssm:name}}` in an input with the value from `lookUp`, as the agent does after parameters. */
export async function resolveSsm(input: unknown, lookUp: (name: string) => Promise<string>): Promise<unknown> {
  if (typeof input === 'string') {
    let text = input;
    for (const match of input.matchAll(/\{\{ *ssm:([/\w.-]+(?::\d+)?) *\}\}/g)) {
      const value = await lookUp(match[1] ?? '');
      text = text.replace(match[0], () => value);
    }
    return text;
  }
  if (Array.isArray(input)) return await Promise.all(input.map((item) => resolveSsm(item, lookUp)));
  if (input !== null && typeof input === 'object') {
    const entries = Object.entries(input).map(async ([key, value]) => [key, await resolveSsm(value, lookUp)] as const);
    return Object.fromEntries(await Promise.all(entries));
  }
  return input;
}
