import { styleText } from 'node:util';
import type { Failure } from '../errors.ts';

export const FORMATS = ['text', 'json', 'jsonl'] as const;
export const COLORS = ['auto', 'always', 'never'] as const;
export type Format = (typeof FORMATS)[number];
export type Color = (typeof COLORS)[number];
export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

/**
 * Where a verb writes: its data to stdout, in the format that the user chose, and everything else to stderr.
 */
export class Output {
  readonly format: Format;
  private readonly color: Color;

  constructor(format: Format, color: Color) {
    this.format = format;
    this.color = color;
  }

  /** The verb's result as one value. `text` renders it for people, without a newline at the end. */
  result(value: unknown, text: () => string): void {
    if (this.format === 'text') process.stdout.write(`${text()}\n`);
    else process.stdout.write(`${toJson(value, this.format === 'json' ? 2 : 0)}\n`);
  }

  /** The verb's result as rows: a JSON array, a JSON object per line, or what `text` makes of them. */
  rows(rows: readonly unknown[], text: () => string): void {
    if (this.format === 'text') {
      const rendered = text();
      if (rendered !== '') process.stdout.write(`${rendered}\n`);
    } else if (this.format === 'json') this.result(rows, text);
    else for (const row of rows) process.stdout.write(`${toJson(row, 0)}\n`);
  }

  /** Rows as they come, none of them held: a JSON array or a JSON object per line. Not for text. */
  async stream(rows: AsyncIterable<unknown>): Promise<void> {
    let before = this.format === 'json' ? '[\n' : '';
    for await (const row of rows) {
      process.stdout.write(before + toJson(row, 0));
      before = this.format === 'json' ? ',\n' : '\n';
    }
    if (this.format === 'json') process.stdout.write(before === '[\n' ? '[]\n' : '\n]\n');
    else if (before !== '') process.stdout.write('\n');
  }

  /** A line for people that is not data: progress, hints, warnings. */
  note(text: string): void {
    process.stderr.write(`${text}\n`);
  }

  /**
   * `text` in a style, where the stream shows colours (a terminal, no NO_COLOR) or the user asked for them.
   */
  style(style: Style, text: string, stream: 'stdout' | 'stderr' = 'stdout'): string {
    if (this.color === 'never') return text;
    return styleText(style, text, { validateStream: this.color === 'auto', stream: process[stream] });
  }

  /**
   * A failure on one screen: what and where, then what to do. With `-o json` one object on stderr, `{"error":
   * {...}}`.
   */
  failure(failure: Failure): void {
    const { code, message, fix, exitCode } = failure;
    if (this.format !== 'text') this.note(toJson({ error: { code, message, fix, exitCode } }, 0));
    else
      this.note(`${this.style('red', `error ${code}`, 'stderr')}\n${message}\n\n${indented('fix: ', fix)}`);
  }

  /** Something nobody foresaw. The stack is shown only to who asks, by TIDEMARK_DEBUG. */
  bug(error: unknown): void {
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const what = error instanceof Error ? error.message : stack;
    if (this.format !== 'text') this.note(toJson({ error: { code: 'BUG', message: what, exitCode: 1 } }, 0));
    else {
      this.note(`${this.style('red', 'error: this is a bug in tidemark', 'stderr')}\n${what}`);
      this.note('\nfix: run it again with TIDEMARK_DEBUG=1 and report what it prints.');
    }
    if (process.env.TIDEMARK_DEBUG) this.note(stack);
  }
}

/**
 * Rows under their headings, in columns as wide as their widest cell.
 *
 * @param right columns of numbers, aligned to the right: their headings or their places
 */
export function table(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly (string | number)[] = [],
): string {
  const widths = headings.map((heading, at) =>
    Math.max(width(heading), ...rows.map((row) => width(row[at] ?? ''))),
  );
  const line = (cells: readonly string[]) =>
    headings
      .map((heading, at) => {
        const cell = cells[at] ?? '';
        const space = ' '.repeat((widths[at] ?? 0) - width(cell));
        return right.includes(heading) || right.includes(at) ? space + cell : cell + space;
      })
      .join('  ')
      .trimEnd();
  return [headings, ...rows].map(line).join('\n');
}

/** JSON of a value that may hold bigints, which become JSON numbers with all their digits. */
export function toJson(value: unknown, indent: number): string {
  const digits = (_: string, part: unknown) =>
    typeof part === 'bigint' ? (JSON as RawJson).rawJSON(part.toString()) : part;
  return JSON.stringify(value, digits, indent);
}

/** ECMAScript 2025; not yet in the library types that `es2024` names. */
type RawJson = typeof JSON & { rawJSON(text: string): unknown };

function indented(label: string, text: string): string {
  return label + text.replaceAll('\n', `\n${' '.repeat(label.length)}`);
}

/** Records come from anywhere: what would move a terminal's cursor is shown as an escape. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it is about
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (character) => {
    const named = { '\n': '\\n', '\t': '\\t', '\r': '\\r' }[character];
    return named ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

/** Columns on a terminal: East Asian wide characters and emoji take two, combining marks none. */
export function width(text: string): number {
  let columns = 0;
  for (const character of text) {
    if (/\p{Mark}|\p{Cf}/u.test(character)) continue;
    columns +=
      /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u.test(
        character,
      )
        ? 2
        : 1;
  }
  return columns;
}
