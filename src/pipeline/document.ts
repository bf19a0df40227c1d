import {
  type Document,
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  Scalar,
} from 'yaml';
import type { Environment } from '../environment.ts';
import type { Path } from './problems.ts';
import { interpolate } from './variables.ts';

/** Something wrong at a byte offset of the text. */
export interface DocumentProblem {
  readonly path: Path;
  readonly offset: number;
  readonly message: string;
  readonly fix: string;
}

/**
 * A YAML file as plain values that remember where they stand. Integers that a double cannot hold stay text.
 * Surprising YAML is refused: aliases and anchors (bombs), tags, duplicate keys, several documents, keys that
 * are not text.
 */
export class PipelineDocument {
  /** Undefined where the text is not YAML. */
  readonly value: unknown;
  readonly problems: readonly DocumentProblem[];
  private readonly text: string;
  private readonly root: Node | null;
  private readonly lines: LineCounter;

  constructor(text: string, environment: Environment) {
    this.text = text;
    this.lines = new LineCounter();
    const document = parseDocument(text, {
      lineCounter: this.lines,
      prettyErrors: false,
      stringKeys: true,
      intAsBigInt: true,
    });
    this.root = document.contents;
    const problems = syntaxProblems(text, document);
    this.value = problems.length > 0 ? undefined : plainValue(this.root, [], environment, problems);
    this.problems = problems;
  }

  /** Whether there is a value at `path`. */
  has(path: Path): boolean {
    const node = this.nodeAt(path);
    return node !== undefined && !isBlank(node);
  }

  /** Where the value at `path` stands, or the nearest thing around it that the file has. */
  offsetOf(path: Path): number {
    let node: unknown = this.root;
    let offset = 0;
    for (const key of path) {
      const pair = isMap(node) ? node.items.find((item) => keyOf(item.key) === key) : undefined;
      const next = pair ? pair.value : isSeq(node) ? node.items[Number(key)] : undefined;
      if (!pair && next === undefined) break;
      offset = startOf(next) ?? startOf(pair?.key) ?? offset;
      if (isBlank(next)) offset = startOf(pair?.key) ?? offset;
      node = next;
    }
    return offset;
  }

  /**
   * Where the key that `path` ends in stands, or the key of the nearest section around it that the file has.
   */
  offsetOfKey(path: Path): number {
    if (path.length === 0) return 0;
    const parent = this.nodeAt(path.slice(0, -1));
    const pair = isMap(parent) ? parent.items.find((item) => keyOf(item.key) === path.at(-1)) : undefined;
    return startOf(pair?.key) ?? this.offsetOfKey(path.slice(0, -1));
  }

  /**
   * Where character `position` of the text at `path` stands in the file: exact for block literals (`|`) and
   * for scalars that stand in the file as they are, else the scalar's beginning.
   */
  offsetInText(path: Path, position: number): number {
    const node = this.nodeAt(path);
    const start = this.offsetOf(path);
    if (!isScalar(node) || typeof node.value !== 'string' || node.value.includes('${')) return start;
    if (node.type === Scalar.BLOCK_LITERAL) return this.offsetInBlock(node.value, start, position);
    const first = node.type === Scalar.PLAIN ? start : start + 1;
    return this.text.startsWith(node.value, first) ? first + position : start;
  }

  lineAndColumn(offset: number): { line: number; column: number } {
    const { line, col } = this.lines.linePos(Math.min(offset, this.text.length));
    return { line: Math.max(1, line), column: Math.max(1, col) };
  }

  private nodeAt(path: Path): unknown {
    let node: unknown = this.root;
    for (const key of path) {
      if (isMap(node)) node = node.items.find((item) => keyOf(item.key) === key)?.value;
      else node = isSeq(node) ? node.items[Number(key)] : undefined;
    }
    return node;
  }

  /** A literal keeps its lines, each without the block's indentation, after the line of its `|`. */
  private offsetInBlock(value: string, start: number, position: number): number {
    const before = value.slice(0, position).split('\n');
    const header = this.lineAndColumn(start).line;
    const line = header + before.length;
    const lineStart = this.lines.lineStarts[line - 1];
    if (lineStart === undefined) return start;
    const content = value.split('\n')[before.length - 1] ?? '';
    const source = this.text.slice(lineStart).split(/\r?\n/, 1)[0] ?? '';
    return lineStart + (source.length - content.length) + (before.at(-1) ?? '').length;
  }
}

const YAML_ERRORS: Partial<Record<string, readonly [message: string, fix: string]>> = {
  DUPLICATE_KEY: ['This key occurs twice in its section.', 'Keep one of the two.'],
  MULTIPLE_DOCS: ['The file holds several YAML documents.', 'Write one pipeline per file; remove the `---`.'],
  NON_STRING_KEY: ['A key must be text.', 'Write a name before the colon.'],
  TAG_RESOLVE_FAILED: ['YAML tags (`!name`) are not supported.', 'Remove the tag.'],
  BAD_ALIAS: [
    'YAML aliases (`*name`) are not supported.',
    'Write the value in place of the alias; quote a string that begins with `*`.',
  ],
};
const LOOK_AROUND = 'Check indentation, quotes and brackets around this place.';
const QUOTE_VARIABLES = `Within [...] and {...} a variable needs quotes: "\${NAME}".`;
const TAB = ['YAML does not allow tabs as indentation.', 'Indent with spaces.'] as const;

function syntaxProblems(text: string, { errors, warnings }: Document): DocumentProblem[] {
  const found = [...errors, ...warnings].map(({ code, message, pos }) => ({
    path: [],
    offset: pos[0],
    message: YAML_ERRORS[code]?.[0] ?? `This is not YAML: ${firstSentence(message)}.`,
    fix: YAML_ERRORS[code]?.[1] ?? (lineAt(text, pos[0]).includes('${') ? QUOTE_VARIABLES : LOOK_AROUND),
  }));
  // A tab breaks what comes after it in ways that never mention the tab.
  const tab = /^ *\t/m.exec(text);
  if (found.length === 0 || tab === null) return found;
  const [message, fix] = TAB;
  return [{ path: [], offset: tab.index, message, fix }];
}

function plainValue(
  node: unknown,
  path: Path,
  environment: Environment,
  problems: DocumentProblem[],
): unknown {
  const refuse = (message: string, fix: string) =>
    problems.push({ path, offset: startOf(node) ?? 0, message, fix });
  if (isAlias(node)) {
    const [message, fix] = YAML_ERRORS.BAD_ALIAS ?? ['', ''];
    refuse(message, fix);
    return undefined;
  }
  if ((isMap(node) || isSeq(node) || isScalar(node)) && node.anchor) {
    refuse(
      'YAML anchors (`&name`) are not supported.',
      'Remove the anchor; quote a string that begins with `&`.',
    );
  }
  if (isMap(node)) {
    const entries = node.items.filter(isPair).map(({ key, value }) => {
      const name = keyOf(key) ?? '';
      return [name, plainValue(value, [...path, name], environment, problems)] as const;
    });
    return Object.fromEntries(entries);
  }
  if (isSeq(node))
    return node.items.map((item, at) => plainValue(item, [...path, at], environment, problems));
  if (!isScalar(node)) return undefined;
  if (typeof node.value === 'bigint') {
    return Number.isSafeInteger(Number(node.value)) ? Number(node.value) : String(node.value);
  }
  if (typeof node.value !== 'string') return node.value;

  const { text, missing, malformed } = interpolate(node.value, environment);
  for (const name of new Set(missing)) {
    refuse(
      `The environment variable ${name} is not set, and the file gives no default.`,
      `Set ${name} where this file is read (CLI and worker), or write \${${name}:-default}.`,
    );
  }
  for (const found of malformed) {
    refuse(
      `${found} is not a variable.`,
      `Write \${NAME} or \${NAME:-default}; write $\${ for a literal \${.`,
    );
  }
  return missing.length + malformed.length > 0 ? undefined : text;
}

function keyOf(key: unknown): string | undefined {
  if (isScalar(key)) return String(key.value);
  return typeof key === 'string' ? key : undefined;
}

function startOf(node: unknown): number | undefined {
  return isMap(node) || isSeq(node) || isScalar(node) || isAlias(node) ? node.range?.[0] : undefined;
}

function isBlank(node: unknown): boolean {
  return isScalar(node) && node.value === null;
}

function lineAt(text: string, offset: number): string {
  const start = text.lastIndexOf('\n', offset - 1) + 1;
  return text.slice(start).split('\n', 1)[0] ?? '';
}

function firstSentence(message: string): string {
  return (message.split('\n')[0] ?? message).replace(/[.:]$/, '');
}
