// The emulator checks nothing; a client must send something.
export const region = 'us-east-1';
export const dummyCredentials = { accessKeyId: 'test', secretAccessKey: 'test' } as const;

// Every client of this folder comes by here. The SDK says each time that Node 22 will be needed in 2027; the README says it once.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
