import { parse as parseYaml } from 'yaml';
import * as z from 'zod';
import { messageOf } from '../cloud/errors.ts';
import { ServiceError } from './service-error.ts';

const maxBytes = 64 * 1024;

const parameter = z.looseObject({
  type: z.string(),
  description: z.string().optional(),
  default: z.unknown().optional(),
  allowedPattern: z.string().optional(),
  allowedValues: z.array(z.string()).optional(),
  minChars: z.coerce.number().optional(),
  maxChars: z.coerce.number().optional(),
});

const step = z.looseObject({
  action: z.string(),
  name: z.string().regex(/^[a-zA-Z0-9_-]{3,128}$/),
  precondition: z.record(z.string(), z.array(z.string())).optional(),
  inputs: z.record(z.string(), z.unknown()).default({}),
});

const content = z.looseObject({
  schemaVersion: z.string(),
  description: z.string().optional(),
  parameters: z.record(z.string(), parameter).default({}),
  mainSteps: z.array(step).min(1),
});

export type DocumentContent = z.infer<typeof content>;
export type ParameterDefinition = z.infer<typeof parameter>;

/** Parses a Command document, JSON or YAML. @throws ServiceError with the errors of CreateDocument */
export function parseDocumentContent(text: string, format: string): DocumentContent {
  if (Buffer.byteLength(text) > maxBytes) {
    throw new ServiceError('MaxDocumentSizeExceeded', `The size limit of a document is ${maxBytes / 1024} KB.`);
  }
  let value: unknown;
  try {
    value = format === 'YAML' ? parseYaml(text) : JSON.parse(text);
  } catch (error) {
    throw new ServiceError('InvalidDocumentContent', `${format} not well-formed. ${messageOf(error)}`);
  }
  const parsed = content.safeParse(value);
  if (!parsed.success) throw new ServiceError('InvalidDocumentContent', z.prettifyError(parsed.error));
  if (parsed.data.schemaVersion !== '2.2') {
    throw new ServiceError(
      'InvalidDocumentSchemaVersion',
      'The local agent runs Command documents of schema version 2.2.',
    );
  }
  return parsed.data;
}

/** Documents that Amazon owns and the local agent implements. */
export const ownedByAmazon: Readonly<Record<string, string>> = {
  'AWS-RunShellScript': JSON.stringify({
    schemaVersion: '2.2',
    description: 'Run a shell script or specify the commands to run.',
    parameters: {
      commands: {
        type: 'StringList',
        description: '(Required) Specify a shell script or a command to run.',
        minItems: 1,
      },
      workingDirectory: { type: 'String', default: '' },
      executionTimeout: {
        type: 'String',
        default: '3600',
        allowedPattern: '^([1-9][0-9]{0,4}|1[0-6][0-9]{4}|17[0-1][0-9]{3}|172[0-7][0-9]{2}|172800)$',
      },
    },
    mainSteps: [
      {
        action: 'aws:runShellScript',
        name: 'aws_runShellScript',
        inputs: {
          runCommand: '{{ commands }}',
          workingDirectory: '{{ workingDirectory }}',
          timeoutSeconds: '{{ executionTimeout }}',
        },
      },
    ],
  }),
};
