// The emulator checks nothing; a client must send something.
export const region = 'us-east-1';
export const dummyCredentials = { accessKeyId: 'test', secretAccessKey: 'test' } as const;
