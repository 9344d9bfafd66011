import fc from 'fast-check';

/**
 * Every run of a commit's tests plays the same cases, so that the commit is what it was when it landed. Others:
 * `TEST_SEED=$RANDOM npx vitest run --project unit`.
 */
fc.configureGlobal({ seed: Number(process.env.TEST_SEED ?? 1) });
