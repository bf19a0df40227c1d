/**
 * JSON whose integers keep all 64 bits: `txn.version` and statistics hold offsets and BIGINT values beyond
 * 2^53, where JSON.parse rounds in silence.
 */

interface ExactJson {
  parse(
    text: string,
    reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown,
  ): unknown;
  rawJSON(text: string): unknown;
}

/** Node 24 has both; TypeScript's library does not know them yet (proposal-json-parse-with-source). */
const exact = JSON as unknown as ExactJson;

/** Integers beyond 2^53 come as `bigint`, all other numbers as `number`. Throws SyntaxError. */
export function parseJson(text: string): unknown {
  // A reviver makes JSON.parse several times slower, and only 16 digits in a row can need it.
  return /\d{16}/.test(text) ? exact.parse(text, exactInteger) : JSON.parse(text);
}

/** A `bigint` is written with all its digits, as a JSON number. */
export function writeJson(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) =>
    typeof item === 'bigint' ? exact.rawJSON(item.toString()) : item,
  );
}

function exactInteger(_key: string, value: unknown, { source }: { readonly source?: string }): unknown {
  const rounded = typeof value === 'number' && !Number.isSafeInteger(value);
  return rounded && source !== undefined && /^-?\d+$/.test(source) ? BigInt(source) : value;
}
