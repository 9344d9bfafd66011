import { describe, expect, it } from 'vitest';
import { secretLookingNames } from '../../../core/spec/secrets.ts';

describe('secretLookingNames', () => {
  it('finds names of secrets that have a value', () => {
    const env = {
      WANDB_API_KEY: 'x',
      HF_TOKEN: 'x',
      DB_PASSWORD: 'x',
      aws_secret_access_key: 'x',
      COMET_KEY: 'x',
      EMPTY_TOKEN: '',
      TOKENIZERS_PARALLELISM: 'false',
      EPOCHS: '3',
      KEYS: '1',
      KEYBOARD: 'x',
    };
    expect(secretLookingNames(env)).toEqual([
      'WANDB_API_KEY',
      'HF_TOKEN',
      'DB_PASSWORD',
      'aws_secret_access_key',
      'COMET_KEY',
    ]);
  });
});
