import type { StartRefusal } from '../workflow/start-instance.ts';
import type { LaunchTemplate } from './data.ts';

export interface FoundImage {
  readonly id: string;
  readonly name: string;
  /** EC2's name of the state: pending, available, failed, … */
  readonly state: string;
  /** Why it failed; null: EC2 does not say. */
  readonly reason: string | null;
  /** Epoch milliseconds. */
  readonly createdAt: number;
  readonly tags: Readonly<Record<string, string>>;
  readonly snapshots: readonly string[];
  /** Of its volumes, GiB. */
  readonly gigabytes: number;
}

export interface FoundTemplate extends LaunchTemplate {
  readonly image: string | null;
  readonly tags: Readonly<Record<string, string>>;
}

export interface NewInstance {
  readonly template: LaunchTemplate;
  /** In place of the template's own. */
  readonly image: string;
  /** EC2 starts one instance for requests of one token. */
  readonly token: string;
  readonly tags: Readonly<Record<string, string>>;
}

/** EC2's images, and the instances that make them. */
export interface Images {
  /** @param version a number, `$Default` or `$Latest`. null: there is none */
  template(idOrName: string, version: string): Promise<FoundTemplate | null>;
  find(id: string): Promise<FoundImage | null>;
  /** Own images with all of these tags. */
  tagged(tags: Readonly<Record<string, string>>): Promise<FoundImage[]>;
  /** Makes an image of a stopped instance; one of this name is made once. @returns its id; null: EC2 does not say */
  create(of: { instanceId: string; name: string; tags: Readonly<Record<string, string>> }): Promise<string | null>;
  tag(id: string, tags: Readonly<Record<string, string>>): Promise<void>;
  /** Deregisters the image and deletes its snapshots; what is gone stays gone. */
  remove(image: Pick<FoundImage, 'id' | 'snapshots'>): Promise<void>;
  run(instance: NewInstance): Promise<{ readonly id: string } | StartRefusal>;
  terminate(ids: readonly string[]): Promise<void>;
}

export interface Parameters {
  read(name: string): Promise<string | null>;
  write(name: string, image: string): Promise<void>;
  remove(name: string): Promise<void>;
}
