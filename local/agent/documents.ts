import { createHash } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import * as z from 'zod';
import { type DocumentContent, ownedByAmazon, parseDocumentContent } from './document-content.ts';
import { ServiceError } from './service-error.ts';

const format = z.enum(['JSON', 'YAML']).default('JSON');
const version = z.object({ text: z.string(), format, createdAt: z.number() });
const stored = z.record(z.string(), z.object({ defaultVersion: z.number(), versions: z.array(version) }));
type Version = z.infer<typeof version>;
type Stored = z.infer<typeof stored>[string];

const named = z.looseObject({ Name: z.string(), DocumentVersion: z.string().optional() });

/** The account's Command documents, kept in one file so that a restarted agent still has them. */
export class Documents {
  readonly #file: string;
  readonly #documents: Map<string, Stored>;

  constructor(file: string) {
    this.#file = file;
    this.#documents = new Map(Object.entries(readStored(file)));
    for (const [name, text] of Object.entries(ownedByAmazon)) {
      this.#documents.set(name, { defaultVersion: 1, versions: [{ text, format: 'JSON', createdAt: 0 }] });
    }
  }

  /** The content that a command runs. @throws ServiceError InvalidDocument, InvalidDocumentVersion. */
  content(
    nameOrArn: string,
    requestedVersion: string | undefined,
  ): { name: string; version: string; content: DocumentContent } {
    const { name, document } = this.#find(nameOrArn);
    const number = numberOf(document, requestedVersion ?? '$DEFAULT');
    const { text, format: written } = versionAt(document, number);
    return { name, version: requestedVersion ?? '', content: parseDocumentContent(text, written) };
  }

  create(input: unknown) {
    const { Name, Content, DocumentFormat } = z
      .looseObject({
        Name: z.string(),
        Content: z.string(),
        DocumentFormat: format,
        DocumentType: z.string().optional(),
      })
      .parse(input);
    if (!/^[a-zA-Z0-9_\-.]{3,128}$/.test(Name) || /^(aws|amazon|amzn)/i.test(Name)) {
      throw new ServiceError('ValidationException', `The document name ${Name} is not allowed.`);
    }
    if (this.#documents.has(Name))
      throw new ServiceError('DocumentAlreadyExists', 'The specified document already exists.');
    parseDocumentContent(Content, DocumentFormat);
    const document = {
      defaultVersion: 1,
      versions: [{ text: Content, format: DocumentFormat, createdAt: Date.now() }],
    };
    this.#documents.set(Name, document);
    this.#save();
    return { DocumentDescription: describe(Name, document, 1) };
  }

  update(input: unknown) {
    const { Name, Content, DocumentFormat } = z
      .looseObject({ Name: z.string(), Content: z.string(), DocumentFormat: format })
      .parse(input);
    const { name, document } = this.#find(Name);
    parseDocumentContent(Content, DocumentFormat);
    if (document.versions.at(-1)?.text === Content) {
      throw new ServiceError('DuplicateDocumentContent', 'The content is that of the latest version.');
    }
    document.versions.push({ text: Content, format: DocumentFormat, createdAt: Date.now() });
    this.#save();
    return { DocumentDescription: describe(name, document, document.versions.length) };
  }

  updateDefaultVersion(input: unknown) {
    const { Name, DocumentVersion } = z.looseObject({ Name: z.string(), DocumentVersion: z.string() }).parse(input);
    const { name, document } = this.#find(Name);
    document.defaultVersion = numberOf(document, DocumentVersion);
    this.#save();
    return { Description: { Name: name, DefaultVersion: String(document.defaultVersion) } };
  }

  describe(input: unknown) {
    const { Name, DocumentVersion } = named.parse(input);
    const { name, document } = this.#find(Name);
    return { Document: describe(name, document, numberOf(document, DocumentVersion ?? '$DEFAULT')) };
  }

  get(input: unknown) {
    const { Name, DocumentVersion } = named.parse(input);
    const { name, document } = this.#find(Name);
    const number = numberOf(document, DocumentVersion ?? '$DEFAULT');
    const { text, format: written, createdAt } = versionAt(document, number);
    return {
      Name: name,
      DocumentVersion: String(number),
      Status: 'Active',
      Content: text,
      DocumentType: 'Command',
      DocumentFormat: written,
      CreatedDate: createdAt / 1_000,
    };
  }

  delete(input: unknown) {
    const { name } = this.#find(named.parse(input).Name);
    this.#documents.delete(name);
    this.#save();
    return {};
  }

  list() {
    const identifiers = [...this.#documents].map(([name, document]) => ({
      ...describe(name, document, document.defaultVersion),
      Parameters: undefined,
    }));
    return { DocumentIdentifiers: identifiers };
  }

  #find(nameOrArn: string): { name: string; document: Stored } {
    const name = nameOrArn.replace(/^arn:aws[\w-]*:ssm:[^:]*:[^:]*:document\//, '');
    const document = this.#documents.get(name);
    if (document === undefined) throw new ServiceError('InvalidDocument', `Document with name ${name} does not exist.`);
    return { name, document };
  }

  #save(): void {
    const own = [...this.#documents].filter(([name]) => !(name in ownedByAmazon));
    writeFileSync(`${this.#file}.new`, JSON.stringify(Object.fromEntries(own)));
    renameSync(`${this.#file}.new`, this.#file);
  }
}

function readStored(file: string): z.infer<typeof stored> {
  try {
    return stored.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {};
    throw error;
  }
}

function numberOf(document: Stored, requested: string): number {
  const number =
    requested === '$DEFAULT'
      ? document.defaultVersion
      : requested === '$LATEST'
        ? document.versions.length
        : Number(requested);
  versionAt(document, number);
  return number;
}

function versionAt(document: Stored, number: number): Version {
  const found = document.versions[number - 1];
  if (found === undefined) throw new ServiceError('InvalidDocumentVersion', `The document has no version ${number}.`);
  return found;
}

function describe(name: string, document: Stored, number: number) {
  const { text, format: written, createdAt } = versionAt(document, number);
  const content = parseDocumentContent(text, written);
  return {
    Name: name,
    Owner: name in ownedByAmazon ? 'Amazon' : '000000000000',
    Hash: createHash('sha256').update(text).digest('hex'),
    HashType: 'Sha256',
    CreatedDate: createdAt / 1_000,
    Status: 'Active',
    DocumentVersion: String(number),
    LatestVersion: String(document.versions.length),
    DefaultVersion: String(document.defaultVersion),
    Description: content.description ?? '',
    Parameters: Object.entries(content.parameters).map(([Name, definition]) => ({
      Name,
      Type: definition.type,
      Description: definition.description ?? '',
    })),
    PlatformTypes: ['Linux'],
    DocumentType: 'Command',
    SchemaVersion: content.schemaVersion,
    DocumentFormat: written,
    Tags: [],
  };
}
