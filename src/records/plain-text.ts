/**
 * What of a JSON string is text as it stands: ASCII without quotes, backslashes and control characters. 1 where it ends.
 */
export const ENDS_PLAIN = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte < 0x20 || byte === 0x22 || byte === 0x5c || byte >= 0x80 ? 1 : 0,
);

/**
 * Whether none of four bytes ends a run. A byte below 0x20, a quote or a backslash leaves its sign bit set in one of the
 * differences, and so does any of 0x80 on; a borrow from it may set more, never clear it.
 */
export function isPlain(word: number): boolean {
  const control = word - 0x20202020;
  const quote = (word ^ 0x22222222) - 0x01010101;
  const backslash = (word ^ 0x5c5c5c5c) - 0x01010101;
  return ((control | quote | backslash | word) & 0x80808080) === 0;
}
