import * as z from 'zod';

// The input of the calls. The bounds are those of SSM; input outside them is a ValidationException.
const instanceId = z.string().regex(/^(i-[0-9a-f]{8,17}|mi-[0-9a-f]{17})$/);

export const sendCommandInput = z.looseObject({
  InstanceIds: z.array(instanceId).max(50).default([]),
  Targets: z
    .array(z.object({ Key: z.string(), Values: z.array(z.string()) }))
    .max(5)
    .default([]),
  DocumentName: z.string(),
  DocumentVersion: z.string().optional(),
  TimeoutSeconds: z.number().int().min(30).max(2_592_000).default(3_600),
  Comment: z.string().max(100).default(''),
  Parameters: z.record(z.string(), z.array(z.string())).default({}),
});

const commandId = z.string().length(36);

export const getInvocationInput = z.looseObject({
  CommandId: commandId,
  InstanceId: instanceId,
  PluginName: z.string().min(4).optional(),
});

export const listInput = z.looseObject({
  CommandId: commandId.optional(),
  InstanceId: instanceId.optional(),
  Details: z.boolean().default(false),
});

export const cancelInput = z.looseObject({ CommandId: commandId, InstanceIds: z.array(instanceId).default([]) });

export const instanceInformationInput = z.looseObject({
  Filters: z.array(z.object({ Key: z.string(), Values: z.array(z.string()) })).default([]),
  InstanceInformationFilterList: z.array(z.object({ key: z.string(), valueSet: z.array(z.string()) })).default([]),
});
