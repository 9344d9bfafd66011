import type { SpecInput } from '../spec/spec.ts';
import type { RunProgram } from '../workflow/data.ts';

/** Input and output of the states of runctl-bake. */

/** What a bake is about, and what it has made so far. */
export interface Bake {
  /** The execution's name. */
  readonly name: string;
  readonly project: string;
  /** Of the jobs; null: the default of the builder. */
  readonly user: string | null;
  /** Hex; an image of an equal key would be equal. */
  readonly key: string;
  /** The image that the builder is started from: `ami-…`. */
  readonly base: string;
  readonly template: LaunchTemplate;
  /** The spec of the runs on the builder and on the test instance, without their instance. */
  readonly run: SpecInput;
  readonly program: RunProgram;
  readonly builder: string | null;
  /** The builder was asked to scrub itself: when it has stopped, it is done. */
  readonly scrubbing?: true;
  readonly image: string | null;
  readonly tester: string | null;
  /** EC2 had agreed to start the builder or the tester, and took it back. Left out: it did not, or the instance is up. */
  readonly withdrawn?: { readonly times: number /** Epoch seconds of the first. */; readonly since: number };
  /** There is an image of this key already. */
  readonly exists: boolean;
}

export interface LaunchTemplate {
  readonly id: string;
  /** Its number. */
  readonly version: string;
}

export interface PrepareInput {
  readonly execution: { readonly name: string };
  /** The execution's input. */
  readonly input: unknown;
}

export interface BakeInput {
  readonly bake: Bake;
  /** Of the visit of this state before; null: this is the first. */
  readonly waiting: Waiting | null;
}

export interface Waiting {
  /** Epoch seconds of the state's first visit. */
  readonly since: number;
  /** Seconds until the next visit. */
  readonly wait: number;
  /** What it waits for. */
  readonly message: string;
}

export interface BakeOutput {
  readonly bake: Bake;
  /** null: the state has done its work. */
  readonly waiting: Waiting | null;
}

export interface CleanUpInput {
  readonly execution: { readonly name: string };
  /** Of the state that failed; null: the execution was stopped. */
  readonly failure: { readonly Error: string; readonly Cause: string; readonly state: string } | null;
}

export interface CleanUpOutput {
  readonly error: string;
  /** JSON: {state, message, next}. */
  readonly cause: string;
}
