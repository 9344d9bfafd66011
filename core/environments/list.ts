import { createHash } from 'node:crypto';
import type { CheckpointStore } from '../checkpoints/store.ts';
import type { EnvironmentList, ListReference } from '../protocol/messages.ts';
import { environmentsPrefix } from './keys.ts';
import { type EnvironmentManifest, readEnvironmentManifest } from './manifest.ts';

/** A project has one for each lock and kind of instance; the newest are offered. */
const MAX_LISTED = 10;

type Store = Pick<CheckpointStore, 'list' | 'read' | 'presignGet' | 'replace'>;

/**
 * Writes the list of a project's environments for an instance, which knows the key of the one that it needs. It has presigned
 * URLs: it is a secret.
 * @param key of the list @returns null: there are none
 */
export async function listEnvironments(store: Store, project: string, key: string): Promise<ListReference | null> {
  const found: { key: string; modifiedAt: number }[] = [];
  for await (const object of store.list(environmentsPrefix(project))) found.push(object);
  const newest = found.sort((a, b) => b.modifiedAt - a.modifiedAt).slice(0, MAX_LISTED);
  const manifests = await Promise.all(newest.map(async (one) => (await store.read(one.key))?.text ?? ''));
  const usable = manifests.map(readEnvironmentManifest).filter((one) => one !== null && one.project === project);
  if (usable.length === 0) return null;
  const environments = await Promise.all(usable.map((one) => offer(store, one as EnvironmentManifest)));
  const text = JSON.stringify({ version: 1, environments } satisfies EnvironmentList);
  await store.replace(key, text);
  return {
    url: await store.presignGet(key, null),
    sha256: createHash('sha256').update(text).digest('hex'),
    bytes: Buffer.byteLength(text),
  };
}

async function offer(store: Store, manifest: EnvironmentManifest): Promise<EnvironmentList['environments'][number]> {
  const { key, sha256, bytes } = manifest;
  const parts = manifest.parts.map(async (part) => ({
    url: await store.presignGet(part.key, part.versionId),
    bytes: part.bytes,
  }));
  return { key, sha256, bytes, parts: await Promise.all(parts) };
}
