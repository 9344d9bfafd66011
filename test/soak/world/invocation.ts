import { awsError } from '../../support/fakes/sdk-client.ts';
import type { Clock } from '../clock.ts';
import type { Random } from '../random.ts';
import type { Weather } from './weather.ts';

/** Answers an SDK command, by its name. @throws the error of the service */
export type Service = (command: string, input: Record<string, unknown>) => object | Promise<object>;

interface Sdk {
  /** The maximum number of attempts at one call, including the first. */
  readonly attempts: number;
}

const NEVER = new Promise<never>(() => undefined);
const REFUSALS = ['ThrottlingException', 'InternalServerError', 'ServiceUnavailableException'] as const;

/** One invocation of a function. It may die at any of its calls and then does nothing more. */
export class Invocation {
  /** Resolves with the error that Step Functions receives when the function dies. */
  readonly death: Promise<string>;
  private dead = false;
  private reportDeath: (error: string) => void = () => undefined;
  private readonly ports: { clock: Clock; random: Random; weather: () => Weather };

  constructor(ports: { clock: Clock; random: Random; weather: () => Weather }) {
    this.ports = ports;
    this.death = new Promise((resolve) => {
      this.reportDeath = resolve;
    });
  }

  die(error: string): void {
    this.dead = true;
    this.reportDeath(error);
  }

  /** Lets time pass. Never returns if the function dies meanwhile. */
  async spend(ms: number): Promise<void> {
    await this.ports.clock.sleep(ms);
    if (this.dead) await NEVER;
  }

  /** An SDK client for a service. It retries failed calls as the SDK does. */
  client<T extends { send: unknown }>(service: Service, sdk: Sdk = { attempts: 6 }): Pick<T, 'send'> {
    const send = (command: { constructor: { name: string }; input: Record<string, unknown> }) =>
      this.call(sdk.attempts, () => service(command.constructor.name.replace(/Command$/, ''), command.input));
    return { send } as unknown as Pick<T, 'send'>;
  }

  private async call(attempts: number, effect: () => object | Promise<object>): Promise<object> {
    const { random } = this.ports;
    for (let attempt = 1; ; attempt += 1) {
      const { refused, lost } = this.ports.weather();
      await this.spend(random.between(5, 60));
      await this.perhapsDie();
      const isRefused = random.chance(refused);
      if (!isRefused) {
        const answer = await effect();
        await this.spend(random.between(5, 30));
        await this.perhapsDie();
        if (!random.chance(lost)) return answer;
        await this.spend(random.spread(100, 15_000)); // the client's requestTimeout
      }
      if (attempt === attempts) throw awsError(isRefused ? random.pick(REFUSALS) : 'TimeoutError');
      await this.spend(100 * 2 ** attempt);
    }
  }

  private async perhapsDie(): Promise<void> {
    const { random, weather } = this.ports;
    if (!random.chance(weather().dies / 2)) return;
    this.die(random.pick(['Lambda.Unknown', 'Runtime.ExitError', 'Sandbox.Timedout']));
    await NEVER;
  }
}
