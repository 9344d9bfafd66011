import { readFileSync } from 'node:fs';
import type { Page } from 'puppeteer-core';

/** In a file of its own: the types of a page are not those of Node. */
const FUNCTIONS = readFileSync(new URL('in-page.js', import.meta.url), 'utf8');

/** The text of the first element that matches, as it is shown; empty when there is none, or it is hidden. */
export async function text(page: Page, selector: string): Promise<string> {
  return String(await page.evaluate(`${FUNCTIONS}; textOf(${JSON.stringify(selector)})`));
}

/** What has the focus, and how it shows that. */
export async function focusedElement(page: Page): Promise<string> {
  return String(await page.evaluate(`${FUNCTIONS}; focusedElement()`));
}

/** Texts with less contrast to what is behind them than people with weak sight need (WCAG 2.2, 1.4.3: 4.5, large text 3). */
export async function contrastProblems(page: Page): Promise<string[]> {
  return (await page.evaluate(`${FUNCTIONS}; contrastProblems()`)) as string[];
}
