import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const COLLECTOR = fileURLToPath(new URL('messages.py', import.meta.url));

/**
 * The texts in a TypeScript source that a person may read: string and template literals of at least two words, in their
 * order. Inserted values are in braces.
 */
export function messagesOf(source: string): string[] {
  const file = ts.createSourceFile('source.ts', source, ts.ScriptTarget.ES2022, true);
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node) || ts.isLiteralTypeNode(node)) return;
    if (ts.isNewExpression(node) && node.expression.getText() === 'RegExp') return;
    const text = textOf(node);
    if (text === null) ts.forEachChild(node, visit);
    else if (isProse(text)) found.push(text);
    // A name in a table, or a text that consists of inserted values only: search inside it.
    else if (!ts.isStringLiteralLike(node)) ts.forEachChild(node, visit);
  };
  visit(file);
  return [...new Set(found)];
}

/** The same for Python files, by path. */
export function pythonMessages(paths: readonly string[]): Map<string, string[]> {
  const { stdout, stderr, status } = spawnSync('python3', ['-I', COLLECTOR, ...paths], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  const texts = JSON.parse(stdout) as Record<string, string[]>;
  return new Map(Object.entries(texts).map(([path, list]) => [path, [...new Set(list.filter(isProse))]]));
}

export function typescriptMessages(paths: readonly string[]): Map<string, string[]> {
  return new Map(paths.map((path) => [path, messagesOf(readFileSync(path, 'utf8'))]));
}

/** Strings that people do not read: JSONata expressions, programs, option names. */
const NOT_PROSE = /\{%|^"?"?"?.*\n[\s\S]*\bimport |^import |^(-\w, )?--[\w-]+( <\w+>)?$/;

/** At least two words, one of them not inserted. */
function isProse(text: string): boolean {
  if (NOT_PROSE.test(text)) return false;
  const bare = text.replace(/\{[^{}]*\}/g, '◆').replace(/\{[^{}]*\}/g, '◆');
  const words = bare.split(/\s+/).filter((word) => /[\p{L}◆]/u.test(word));
  return words.length > 1 && /(^|[^\p{L}/.:])\p{L}{3,}/u.test(bare);
}

/** A literal's text; null for any other node. */
function textOf(node: ts.Node): string | null {
  if (ts.isStringLiteralLike(node)) return node.text;
  if (!ts.isTemplateExpression(node)) return null;
  return node.head.text + node.templateSpans.map((span) => inserted(span.expression) + span.literal.text).join('');
}

function inserted(node: ts.Expression): string {
  if (ts.isConditionalExpression(node)) return `{${alternatives([node.whenTrue, node.whenFalse])}}`;
  if (ts.isBinaryExpression(node) && isFallback(node)) return `{${alternatives([node.left, node.right])}}`;
  return textOf(node) ?? `{${node.getText().replace(/\s+/g, ' ').slice(0, 40)}}`;
}

function isFallback({ operatorToken, right }: ts.BinaryExpression): boolean {
  return operatorToken.kind === ts.SyntaxKind.QuestionQuestionToken && textOf(right) !== null;
}

function alternatives(nodes: readonly ts.Expression[]): string {
  return nodes
    .map((node) => (ts.isConditionalExpression(node) ? inserted(node) : (textOf(node) ?? inserted(node))))
    .join(' | ');
}
