import type { News } from '../../core/notify/news.ts';
import { IMPATIENT } from './aws-errors.ts';
import { requireEnv } from './environment.ts';
import { createFunctions, type Functions } from './functions.ts';
import { logger } from './logger.ts';

/** Hands news of a run to announce-run. It does not wait for it, and never fails: a run does not depend on who hears of it. */
export type Tell = (news: News) => Promise<void>;

export function createTell(): Tell {
  return tellOver(createFunctions(IMPATIENT), requireEnv('announceFunction'));
}

export function tellOver(functions: Functions, announceFunction: string): Tell {
  return async (news) => {
    try {
      await functions.invokeLater(announceFunction, news);
    } catch (error) {
      logger.warn(`nobody was told: ${news.news}`, error as Error);
    }
  };
}
