import { isUtf8 } from 'node:buffer';
import { formatCount } from '../../format.ts';
import type { WholeLetter } from '../../inspect/dead-letter.ts';
import { letterName, letterTime } from '../../letters/dead-letter-table.ts';
import { type Output, printable, width } from '../../terminal/output.ts';

/** All that is known of a letter, and its value around the place of its defect. */
export function describeLetter(letter: WholeLetter, output: Output): string {
  const state = output.style(letter.state === 'open' ? 'yellow' : 'green', letter.state);
  const facts: [string, string][] = [
    ['reason', letter.reason],
    ['what', letter.message],
    ['time', letterTime(letter) ?? 'none'],
    ['key', letter.key === null ? 'none' : inline(letter.key)],
    ...(letter.headers ?? []).map(({ key, value }): [string, string] => [
      'header',
      `${printable(key)}: ${value === null ? 'null' : inline(value)}`,
    ]),
    ['epoch', String(letter.epoch)],
    ['run', letter.run],
    ['batch', letter.batch],
  ];
  return [
    `${output.style('bold', letterName(letter))}  ${state}`,
    ...facts.map(([name, text]) => `  ${name.padEnd(7)} ${name === 'what' ? printable(text) : text}`),
    `  value   ${formatCount(letter.value.length)} bytes`,
    '',
    indent(excerpt(Buffer.from(letter.value), letter.byte_offset, (mark) => output.style('red', mark))),
  ].join('\n');
}

const INLINE_BYTES_MAX = 200;

function inline(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.subarray(0, INLINE_BYTES_MAX));
  const more = bytes.length > INLINE_BYTES_MAX ? ` … (${formatCount(bytes.length)} bytes)` : '';
  return (isUtf8(buffer) ? printable(buffer.toString('utf8')) : `0x${buffer.toString('hex')}`) + more;
}

const LINES_AROUND = 4;
const CHARACTERS_AROUND = 70;

/**
 * The value around the place of its defect, with a mark below it: lines of text, or of hexadecimal if the
 * bytes are not text. The beginning of the value if the defect has no place.
 */
export function excerpt(
  value: Buffer,
  byteOffset: number | null,
  highlight = (mark: string) => mark,
): string {
  if (value.length === 0) return '(empty)';
  return isUtf8(value) ? textExcerpt(value, byteOffset, highlight) : hexExcerpt(value, byteOffset, highlight);
}

function textExcerpt(value: Buffer, byteOffset: number | null, highlight: (mark: string) => string): string {
  // Only what may be shown is decoded: a value has up to 64 MiB.
  const around = LINES_AROUND * CHARACTERS_AROUND * 4;
  const from = characterStart(value, Math.max(0, (byteOffset ?? 0) - around));
  const to = characterStart(value, Math.min(value.length, (byteOffset ?? 0) + around));
  const lines = value.toString('utf8', from, to).split('\n');
  const before = value.toString('utf8', from, characterStart(value, byteOffset ?? 0)).split('\n');
  const at = { line: before.length - 1, column: before.at(-1)?.length ?? 0 };
  const first = Math.max(0, at.line - LINES_AROUND);
  const last = Math.min(lines.length, at.line + LINES_AROUND + 1);
  const shown = lines.slice(first, last).flatMap((line, index) => {
    if (first + index !== at.line) return [cut(line, 0).text];
    const { text, start, lead } = cut(line, at.column);
    if (byteOffset === null) return [text];
    const column = lead + width(printable(line.slice(start, at.column)));
    return [text, `${' '.repeat(column)}${highlight('^')}`];
  });
  const isCutBefore = from > 0 || first > 0;
  const isCutAfter = to < value.length || last < lines.length;
  return [...(isCutBefore ? ['…'] : []), ...shown, ...(isCutAfter ? ['…'] : [])].join('\n');
}

/**
 * A line around a column, what would move the cursor escaped; `lead` is how wide the sign for what is left
 * out is.
 */
function cut(line: string, column: number): { text: string; start: number; lead: number } {
  const start = column > CHARACTERS_AROUND ? column - CHARACTERS_AROUND : 0;
  const end = Math.min(line.length, column + CHARACTERS_AROUND);
  const text = `${start > 0 ? '…' : ''}${printable(line.slice(start, end).toWellFormed())}${end < line.length ? '…' : ''}`;
  return { text, start, lead: start > 0 ? 1 : 0 };
}

/** Back to where a UTF-8 character begins. */
function characterStart(value: Buffer, byteOffset: number): number {
  let at = Math.min(byteOffset, value.length);
  while (at > 0 && at < value.length && ((value[at] as number) & 0xc0) === 0x80) at--;
  return at;
}

const HEX_BYTES_PER_LINE = 16;

function hexExcerpt(value: Buffer, byteOffset: number | null, highlight: (mark: string) => string): string {
  const at = byteOffset ?? 0;
  const middle = at - (at % HEX_BYTES_PER_LINE);
  const from = Math.max(0, middle - LINES_AROUND * HEX_BYTES_PER_LINE);
  const to = Math.min(value.length, middle + (LINES_AROUND + 1) * HEX_BYTES_PER_LINE);
  const lines: string[] = [];
  for (let start = from; start < to; start += HEX_BYTES_PER_LINE) {
    const bytes = value.subarray(start, Math.min(start + HEX_BYTES_PER_LINE, to));
    const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const text = bytes.toString('latin1').replace(/[^\x20-\x7e]/g, '.');
    lines.push(`${String(start).padStart(8)}  ${hex.padEnd(HEX_BYTES_PER_LINE * 3)} ${text}`);
    if (start === middle && byteOffset !== null)
      lines.push(`${' '.repeat(10 + (at - start) * 3)}${highlight('^^')}`);
  }
  return lines.join('\n');
}

function indent(text: string): string {
  return text.replaceAll(/^/gm, '    ');
}
