import type { Bake } from '../../../../core/images/data.ts';
import type { FoundImage, Images, NewInstance } from '../../../../core/images/ports.ts';
import type { StartRefusal } from '../../../../core/workflow/start-instance.ts';
import { run, SHA256 } from '../../../support/fakes/samples.ts';

export const BUILDER = 'i-0123456789abcdef0';
export const BASE = 'ami-0000000000000000b';
export const IMAGE = 'ami-0000000000000000a';
/** Epoch milliseconds. */
export const STARTED = Date.parse('2026-11-28T10:00:00.000Z');

export const bake: Bake = {
  name: 'demo-image-1',
  project: 'demo',
  user: null,
  key: SHA256,
  base: BASE,
  template: { id: 'lt-0123456789abcdef0', version: '3' },
  run: { archive: 's3://uploads-bucket/archives/demo/0123456789abcdef.tar.gz', project: 'demo' },
  program: run.program,
  builder: null,
  image: null,
  tester: null,
  exists: false,
};

export function image(changes: Partial<FoundImage> = {}): FoundImage {
  return {
    id: IMAGE,
    name: 'runctl-demo-image-1',
    state: 'available',
    reason: null,
    createdAt: STARTED,
    tags: { 'runctl:image': 'demo', 'runctl:bake': 'demo-image-1' },
    snapshots: ['snap-1'],
    gigabytes: 8,
    ...changes,
  };
}

/** EC2 in memory, as far as a bake uses it. */
export class FakeImages implements Images {
  images: FoundImage[];
  /** What RunInstances answers; empty: a new instance. */
  refusals: StartRefusal[] = [];
  readonly started: NewInstance[] = [];
  readonly terminated: string[] = [];
  readonly removed: string[] = [];
  found: Awaited<ReturnType<Images['template']>> = {
    id: 'lt-0123456789abcdef0',
    version: '3',
    image: BASE,
    tags: { runctl: 'enabled' },
  };

  constructor(...images: FoundImage[]) {
    this.images = images;
  }

  template = async () => this.found;
  find = async (id: string) => this.images.find((one) => one.id === id) ?? null;
  tagged = async (tags: Readonly<Record<string, string>>) =>
    this.images.filter((one) => Object.entries(tags).every(([key, value]) => one.tags[key] === value));

  async create({ name, tags }: { name: string; tags: Readonly<Record<string, string>> }) {
    this.images.push(image({ name, tags: { ...tags }, state: 'pending' }));
    return IMAGE;
  }

  async tag(id: string, tags: Readonly<Record<string, string>>) {
    this.images = this.images.map((one) => (one.id === id ? { ...one, tags: { ...one.tags, ...tags } } : one));
  }

  async remove({ id }: Pick<FoundImage, 'id'>) {
    this.removed.push(id);
    this.images = this.images.filter((one) => one.id !== id);
  }

  async run(instance: NewInstance) {
    const refusal = this.refusals.shift();
    if (refusal) return refusal;
    this.started.push(instance);
    return { id: BUILDER };
  }

  async terminate(ids: readonly string[]) {
    this.terminated.push(...ids);
  }
}
