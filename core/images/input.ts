import * as z from 'zod/mini';
import { InvalidSpec, parseSpec, type SpecInput } from '../spec/spec.ts';

/** The input of runctl-bake. */
const schema = z.strictObject({
  /** `lt-…`, or the name of a launch template. */
  launchTemplate: z
    .string()
    .check(z.regex(/^(lt-[0-9a-f]{8,17}|[A-Za-z0-9()./_-]{3,128})$/, 'is lt-… or the name of a launch template')),
  /** A number, `$Default` or `$Latest`. */
  launchTemplateVersion: z._default(
    z.string().check(z.regex(/^(\d{1,6}|\$Default|\$Latest)$/, 'is a number, $Default or $Latest')),
    '$Default',
  ),
  /** The rest is the run spec of what is installed: `archive` is needed. */
  spec: z.record(z.string(), z.unknown()),
});

export interface ParsedInput {
  readonly launchTemplate: string;
  readonly launchTemplateVersion: string;
  readonly spec: SpecInput & { readonly archive: string };
}

/** @throws InvalidSpec */
export function parseBakeInput(input: unknown): ParsedInput {
  const source = "the execution's input";
  const read = schema.safeParse(input);
  if (!read.success) {
    throw new InvalidSpec(`${source}: ${read.error.issues.map(problemOf).join('; ')}`);
  }
  const spec = parseSpec(read.data.spec, `${source}, spec`);
  const { archive } = spec;
  if (archive === undefined) throw new InvalidSpec(`${source}, spec: archive is missing; give s3://bucket/key`);
  if (spec.instance !== undefined) {
    throw new InvalidSpec(`${source}, spec: instance must be left out: an image is made on an instance of its own`);
  }
  return { ...read.data, spec: { ...spec, archive } };
}

function problemOf(issue: z.core.$ZodIssue): string {
  if (issue.code === 'unrecognized_keys') return `${issue.keys.join(', ')} is unknown`;
  return `${issue.path.join('.') || 'it'} ${issue.message === 'Invalid input' ? 'is missing or of the wrong type' : issue.message}`;
}
