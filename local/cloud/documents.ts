import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  CreateDocumentCommand,
  GetDocumentCommand,
  SSMClient,
  UpdateDocumentCommand,
  UpdateDocumentDefaultVersionCommand,
} from '@aws-sdk/client-ssm';
import * as z from 'zod';
import { STACK_NAME } from '../../core/names.ts';
import { ssmSettings } from './clients.ts';
import type { CloudAccess } from './credentials.ts';

const template = z.looseObject({
  Metadata: z.looseObject({ runctlDocuments: z.record(z.string(), z.looseObject({})) }),
});

/**
 * Registers the stack's documents with the SSM agent, as CloudFormation does on AWS: creates new ones,
 * and makes a changed one the new default version. @returns their names
 */
export async function pushDocuments(access: CloudAccess, assembly: string): Promise<string[]> {
  const file = join(assembly, `${STACK_NAME}.template.json`);
  const { runctlDocuments } = template.parse(JSON.parse(await readFile(file, 'utf8'))).Metadata;
  const client = new SSMClient(ssmSettings(access));
  try {
    for (const [name, content] of Object.entries(runctlDocuments)) await push(client, name, JSON.stringify(content));
  } finally {
    client.destroy();
  }
  return Object.keys(runctlDocuments);
}

async function push(client: SSMClient, Name: string, Content: string): Promise<void> {
  try {
    await client.send(new CreateDocumentCommand({ Name, Content, DocumentType: 'Command', DocumentFormat: 'JSON' }));
  } catch (error) {
    if (!isNamed(error, 'DocumentAlreadyExists')) throw error;
    await update(client, Name, Content);
  }
}

async function update(client: SSMClient, Name: string, Content: string): Promise<void> {
  try {
    await client.send(new UpdateDocumentCommand({ Name, Content, DocumentFormat: 'JSON', DocumentVersion: '$LATEST' }));
  } catch (error) {
    if (!isNamed(error, 'DuplicateDocumentContent')) throw error; // the content is already registered
  }
  const { DocumentVersion } = await client.send(new GetDocumentCommand({ Name, DocumentVersion: '$LATEST' }));
  await client.send(new UpdateDocumentDefaultVersionCommand({ Name, DocumentVersion }));
}

function isNamed(error: unknown, name: string): boolean {
  return error instanceof Error && error.name === name;
}
