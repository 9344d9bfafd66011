import { Duration, type Stack } from 'aws-cdk-lib';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { READ_ARCHIVE_MEMORY_MIB, READ_ARCHIVE_S } from '../../core/archive/caps.ts';
import { RUN_DOCUMENT } from '../../core/names.ts';
import {
  commandInstances,
  describeAgents,
  describeInstances,
  fetchProgram,
  readArchives,
  readDocument,
  readManifests,
} from '../iam/functions.ts';
import {
  createImages,
  describeImages,
  publishImages,
  readLaunchTemplates,
  removeImages,
  runBuilders,
  terminateBuilders,
} from '../iam/images.ts';
import { StepLambda } from './step-lambda.ts';
import { ONE_POLL, type StepsProps } from './steps.ts';

const A_FEW_CALLS = Duration.seconds(60);

/** The Lambda functions behind the states of runctl-bake. */
export class ImageSteps extends Construct {
  readonly prepareImage: StepLambda;
  readonly startImageInstance: StepLambda;
  readonly scrubBuilder: StepLambda;
  readonly createImage: StepLambda;
  readonly publishImage: StepLambda;
  readonly cleanUpBake: StepLambda;

  constructor(
    stack: Stack,
    { config, bucket, program, deadLetters }: StepsProps & { bucket: Bucket; deadLetters: IQueue },
  ) {
    super(stack, 'ImageSteps');
    const commands = [
      ...commandInstances(stack, RUN_DOCUMENT),
      fetchProgram(stack, program.bucket),
      describeInstances(),
    ];
    this.prepareImage = new StepLambda(this, 'prepare-image', {
      config,
      description: 'Says which image a project needs, and whether there is one',
      environment: {
        archiveCaps: JSON.stringify(config.archiveCaps),
        program: JSON.stringify(program),
        uploadBucket: bucket.bucketName,
      },
      permissions: [
        ...readArchives(bucket),
        readDocument(stack, RUN_DOCUMENT),
        describeImages(),
        ...readLaunchTemplates(stack),
      ],
      timeout: Duration.seconds(READ_ARCHIVE_S),
      memory: READ_ARCHIVE_MEMORY_MIB,
    });
    this.startImageInstance = new StepLambda(this, 'start-image-instance', {
      config,
      description: 'Starts an instance from the launch template, and waits for its SSM agent',
      environment: {},
      permissions: [...runBuilders(stack), describeInstances(), describeAgents()],
      timeout: A_FEW_CALLS,
    });
    this.scrubBuilder = new StepLambda(this, 'scrub-builder', {
      config,
      description: 'Has the builder remove what must not be in an image, and power itself off',
      environment: {},
      permissions: commands,
      timeout: ONE_POLL,
    });
    this.createImage = new StepLambda(this, 'create-image', {
      config,
      description: 'Makes an image of the stopped builder, and terminates the builder',
      environment: {},
      permissions: [...createImages(stack), describeImages(), terminateBuilders(stack)],
      timeout: A_FEW_CALLS,
    });
    this.publishImage = new StepLambda(this, 'publish-image', {
      config,
      description: 'Makes the tested image the current one of its project, and removes older ones',
      environment: { uploadBucket: bucket.bucketName },
      permissions: [
        ...commands,
        readManifests(bucket),
        ...publishImages(stack),
        describeImages(),
        ...removeImages(stack),
        terminateBuilders(stack),
      ],
      timeout: ONE_POLL,
    });
    this.cleanUpBake = new StepLambda(this, 'clean-up-bake', {
      config,
      description: 'Removes what a bake made that did not end well',
      environment: {},
      permissions: [describeInstances(), describeImages(), ...removeImages(stack), terminateBuilders(stack)],
      timeout: A_FEW_CALLS,
      deadLetters,
    });
  }
}
