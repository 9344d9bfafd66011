import { BAKE_MACHINE, STACK_NAME } from '../names.ts';

/** Of everything that a bake makes: its functions may image, terminate and delete only what has this tag. */
export const MADE_BY_BAKE = { key: 'runctl:made-by', value: BAKE_MACHINE } as const;

/** Tags of what a bake makes. */
export const IMAGE_TAGS = {
  /** Of instances, images and snapshots: the execution of runctl-bake that made them. */
  bake: 'runctl:bake',
  /** Of images and snapshots, as those below: the project. */
  project: 'runctl:image',
  /** Hex; equal keys make equal images. */
  key: 'runctl:image-key',
  /** The image that the builder was started from. */
  base: 'runctl:image-base',
  /** When an instance that was started from it had passed its test: ISO 8601, UTC. Left out: it has not. */
  published: 'runctl:image-published',
} as const;

/** Parameters of Parameter Store: of each project, the id of its current image. */
export const IMAGE_PARAMETERS = `/${STACK_NAME}/images/`;

export function imageParameter(project: string): string {
  return `${IMAGE_PARAMETERS}${project}/current`;
}

/** How many images of a project are kept. */
export const KEPT_IMAGES = 2;

/** EC2 allows 3 to 128 of letters, digits and ( ) [ ] space . / - ' @ _. The bake's name makes it unique. */
export function imageName(bake: string): string {
  return `${STACK_NAME}-${bake}`;
}

/** So long may a bake's name be: those of its runs have 80 characters at most (core/names.ts). */
export const MAX_BAKE_NAME = 80 - '-build'.length;

/** The runs of a bake, on its builder and on the instance that tests the image. */
export function bakeRunId(bake: string, which: 'build' | 'test'): string {
  return `${bake}-${which}`;
}
