/**
 * What of a JSON string is text as it stands: ASCII without quotes, backslashes and control characters. 1
 * where it ends.
 */
export const ENDS_PLAIN = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte < 0x20 || byte === 0x22 || byte === 0x5c || byte >= 0x80 ? 1 : 0,
);

/**
 * Which of four bytes end a run, as marks in their sign bits; 0 where none does. A byte below 0x20, a quote
 * or a backslash leaves its sign bit set in one of the differences, and so does any of 0x80 on. A borrow from
 * it may mark bytes behind it that end nothing, never one before: the first mark is right.
 */
export function plainEnds(word: number): number {
  const control = word - 0x20202020;
  const quote = (word ^ 0x22222222) - 0x01010101;
  const backslash = (word ^ 0x5c5c5c5c) - 0x01010101;
  return (control | quote | backslash | word) & 0x80808080;
}

/** Index of the first byte that is marked, as they lie in memory. There must be one. */
export function firstMarked(marks: number): number {
  return (32 - Math.clz32(~marks & (marks - 1))) >> 3;
}
