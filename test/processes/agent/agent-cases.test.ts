import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { CancelCommandCommand } from '@aws-sdk/client-ssm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { AgentProcess, until } from '../../support/agent/agent-process.ts';

const stream = z.union([
  z.strictObject({ text: z.string() }),
  z.strictObject({ bytes: z.number(), sha256: z.string(), ends: z.string() }),
]);
const cases = z
  .array(
    z.object({
      name: z.string(),
      document: z.looseObject({}),
      parameters: z.record(z.string(), z.array(z.string())),
      cancelAfterSeconds: z.number().optional(),
      agent: z.object({ status: z.string(), code: z.number().nullable(), stdout: stream, stderr: stream }),
    }),
  )
  .parse(JSON.parse(readFileSync(new URL('../../support/fixtures/agent-cases.json', import.meta.url), 'utf8')));

// What the genuine agent was recorded to answer: status, code, both streams. Through the API, as a client sees it.
describe('the recorded cases', () => {
  let agent: AgentProcess;
  beforeAll(async () => {
    agent = await AgentProcess.start();
  });
  afterAll(() => agent.stop());

  it.concurrent.each(cases.map((one, index) => ({ ...one, index })))('$name', async (one) => {
    const document = `case-${one.index}`;
    await agent.createDocument(document, one.document);
    if (one.agent.code === null) {
      // Such a command never reaches an agent: the service refuses it. What the agent says is in imitation.test.ts.
      await expect(agent.send(document, one.parameters)).rejects.toMatchObject({ name: 'InvalidParameters' });
      return;
    }
    const commandId = await agent.send(document, one.parameters);
    if (one.cancelAfterSeconds !== undefined) {
      const begun = Date.now();
      await until('the script has begun', async () => Date.now() - begun >= (one.cancelAfterSeconds ?? 0) * 1_000);
      await agent.client.send(new CancelCommandCommand({ CommandId: commandId }));
    }
    const answer = await agent.ended(commandId);
    expect({ status: answer.Status, code: answer.ResponseCode }).toEqual({
      status: one.agent.status,
      code: one.agent.code,
    });
    expectStream(answer.StandardOutputContent ?? '', one.agent.stdout, Number.POSITIVE_INFINITY);
    expectStream(answer.StandardErrorContent ?? '', one.agent.stderr, 8_000);
  });
});

function expectStream(actual: string, recorded: z.infer<typeof stream>, apiLimit: number): void {
  if ('text' in recorded) {
    expect(withoutPlace(actual)).toBe(withoutPlace(recorded.text));
    return;
  }
  if (recorded.bytes > apiLimit) {
    // The API shows the beginning alone; that the agent's own stream is right is in imitation.test.ts.
    expect(actual).toBe('e'.repeat(apiLimit));
    return;
  }
  expect(Buffer.byteLength(actual)).toBe(recorded.bytes);
  expect(actual.endsWith(recorded.ends)).toBe(true);
  expect(createHash('sha256').update(actual).digest('hex')).toBe(recorded.sha256);
}

// The orchestration folder and the command's id differ from machine to machine; what follows must not.
function withoutPlace(text: string): string {
  return text.replace(/\S*(?:\/[^\n/]*)*\/document\/orchestration\/[0-9a-f-]{36}\//g, '<place>/');
}
