import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const AT_ROOT = ['README.md', 'STYLE.md', 'SECURITY.md', 'CONTRIBUTING.md', 'CHANGELOG.md'];
/** Generated from the commands' help; and the contract, whose lines are mostly requests and answers. */
const UNWRAPPED = ['docs/reference/cli.md'];

interface Page {
  readonly path: string;
  readonly text: string;
  /** Without fenced blocks and code spans, whose content is not Markdown. */
  readonly prose: string;
}

const withoutFences = (text: string) => text.replace(/^(`{3,}).*\n[\s\S]*?^\1$/gm, '');

function readPage(path: string): Page {
  const text = readFileSync(join(ROOT, path), 'utf8');
  const prose = withoutFences(text).replace(/(`+)[^`][\s\S]*?\1/g, '');
  return { path, text, prose };
}

const inDocs = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.md'))
  .map((name) => join('docs', name));
const pages = [...AT_ROOT, 'instance/CONTRACT.md', ...inDocs].map(readPage);

/** Of each heading, as GitHub makes its anchor. */
function anchors({ text }: Page): Set<string> {
  const headings = [...withoutFences(text).matchAll(/^#+ (.+)$/gm)];
  const names = headings.map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
  return new Set(names);
}

function brokenLinks(page: Page): string[] {
  const targets = [...page.prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
  return targets.filter((target) => {
    if (/^[a-z]+:/.test(target)) return false;
    const [file = '', anchor] = target.split('#');
    const path = file === '' ? page.path : relative(ROOT, join(ROOT, dirname(page.path), file));
    if (!existsSync(join(ROOT, path))) return true;
    if (anchor === undefined) return false;
    return statSync(join(ROOT, path)).isDirectory() || !anchors(readPage(path)).has(anchor);
  });
}

/** The target of a link cannot be broken. */
const isWide = (line: string) => !line.startsWith('|') && line.replace(/\]\([^)]*\)/g, ']').length > 120;

/** What a reader of the repository cannot open, and codes that only its authors know. */
const OUTSIDE =
  /DESIGN(\.md| section)|AWS-FACTS|FACTS\.md|FAULTS\.md|FINDINGS|HOUSE(\.md)?\b|\bshared\/|\barchive\.md|\([SMCWLPAI]\d{1,2}(, [SMCWLPAI]\d{1,2})*\)/;

/** What is wrong, by page; pages without a problem are left out. */
function problems(check: (page: Page) => readonly string[]): Record<string, readonly string[]> {
  const found = pages.map((page) => [page.path, check(page)] as const);
  return Object.fromEntries(found.filter(([, wrong]) => wrong.length > 0));
}

describe('the documents', () => {
  it('link to files and headings that exist', () => {
    expect(problems(brokenLinks)).toEqual({});
  });

  it('show the command as people have it, and cite nothing from outside the repository', () => {
    const isWrong = (line: string) => line.includes('npx runctl') || OUTSIDE.test(line);
    expect(problems(({ text }) => text.split('\n').filter(isWrong))).toEqual({});
  });

  it.each(['ts', 'py', 'sh', 'cjs'])('and the sources (.%s) cite nothing from outside the repository', (kind) => {
    const folders = [
      'aws',
      'bench',
      'bin',
      'cli',
      'core',
      'examples',
      'instance',
      'lambdas',
      'lib',
      'local',
      'test',
      'verify',
    ];
    const files = folders.flatMap((folder) =>
      readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith(`.${kind}`) && name !== 'contract/documents.test.ts')
        .map((name) => join(folder, name)),
    );
    const isWrong = (path: string) => OUTSIDE.test(readFileSync(join(ROOT, path), 'utf8'));
    expect(files.filter(isWrong)).toEqual([]);
  });

  it('are wrapped at 120 columns, except for tables and code', () => {
    const wide = ({ path, text }: Page) =>
      UNWRAPPED.includes(path) ? [] : withoutFences(text).split('\n').filter(isWide);
    expect(problems(wide)).toEqual({});
  });

  it('begin with a README of at most 90 lines, with the two commands as everybody types them', () => {
    const [readme = ''] = pages.map(({ text }) => text);
    expect(readme.trimEnd().split('\n').length).toBeLessThanOrEqual(90);
    expect(readme).toMatch(/^npm ci && npm run demo( |$)/m);
    expect(readme).toMatch(/^npm ci && npm test( |$)/m);
  });

  it('are all reached from README.md or docs/README.md', () => {
    const indexes = pages.filter(({ path }) => /(^|\/)README\.md$/.test(path));
    const linked = new Set(
      indexes.flatMap(({ path, prose }) =>
        [...prose.matchAll(/\]\(([^)#\s]+)/g)].map(([, target = '']) => join(dirname(path), target)),
      ),
    );
    const unreached = pages.map(({ path }) => path).filter((path) => path !== 'README.md' && !linked.has(path));
    expect(unreached).toEqual([]);
  });
});
