import { DeleteParameterCommand, GetParameterCommand, PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import type { Parameters } from '../core/images/ports.ts';
import { unless, withAwsErrors } from './errors.ts';
import { CLIENT_SETTINGS } from './settings.ts';

export function createParameters(): Parameters {
  return parametersOver(new SSMClient(CLIENT_SETTINGS));
}

/** Parameters whose values are ids of images: launch templates may name them (`resolve:ssm:<name>`). */
export function parametersOver(ssm: Pick<SSMClient, 'send'>): Parameters {
  return {
    async read(name) {
      const sent = ssm.send(new GetParameterCommand({ Name: name }));
      return (await unless(['ParameterNotFound'], `ssm:GetParameter of ${name}`, sent))?.Parameter?.Value ?? null;
    },

    async write(name, image) {
      const command = new PutParameterCommand({
        Name: name,
        Value: image,
        Type: 'String',
        DataType: 'aws:ec2:image',
        Overwrite: true,
      });
      await withAwsErrors(`ssm:PutParameter of ${name}`, ssm.send(command));
    },

    async remove(name) {
      const sent = ssm.send(new DeleteParameterCommand({ Name: name }));
      await unless(['ParameterNotFound'], `ssm:DeleteParameter of ${name}`, sent);
    },
  };
}
