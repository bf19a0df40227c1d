/** Sizes, durations, shares and moments as people write them. Pure: workflows and activities use them too. */

const BYTES: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1e3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

const MILLISECONDS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/**
 * Bytes of `134217728`, `"134217728"`, `128MiB` (1024-based) or `128 MB` (1000-based); undefined where the
 * text is not a size, or not a whole number of bytes that a double holds exactly.
 */
export function parseBytes(size: number | string): number | undefined {
  const [, amount, unit = 'B'] = /^(\d+(?:\.\d+)?)\s*([A-Za-z]+)?$/.exec(String(size).trim()) ?? [];
  return whole(Number(amount) * (BYTES[unit] ?? Number.NaN));
}

/**
 * Milliseconds of `500ms`, `30s`, `10m`, `1h30m`, `2d` or a bare `0`; undefined where the text is not a
 * duration.
 */
export function parseDuration(duration: number | string): number | undefined {
  const text = String(duration).trim();
  if (text === '0') return 0;
  if (!/^(\d+(\.\d+)?\s*(ms|s|m|h|d)\s*)+$/.test(text)) return undefined;
  let ms = 0;
  for (const [, amount, unit = ''] of text.matchAll(/(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)/g)) {
    ms += Number(amount) * (MILLISECONDS[unit] ?? Number.NaN);
  }
  return whole(ms);
}

/** 0 to 1 of `1%`, `0.5 %` or `0.01`; undefined where the text is not a share. */
export function parseShare(share: number | string): number | undefined {
  const [, amount, percent] = /^(\d+(?:\.\d+)?)\s*(%)?$/.exec(String(share).trim()) ?? [];
  const parsed = Number(amount) / (percent === undefined ? 1 : 100);
  return parsed >= 0 && parsed <= 1 ? parsed : undefined;
}

/**
 * Epoch milliseconds of an ISO 8601 time, UTC where it has no zone, or of a number of them; undefined
 * otherwise.
 */
export function parseMoment(moment: number | string): number | undefined {
  const text = String(moment).trim();
  if (/^\d{1,16}$/.test(text)) return whole(Number(text));
  const iso = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?)?$/.exec(text);
  if (iso === null) return undefined;
  const zoned = iso[1] !== undefined && iso[4] === undefined ? `${text}Z` : text;
  return whole(Date.parse(zoned.replace(' ', 'T')));
}

function whole(amount: number): number | undefined {
  return Number.isSafeInteger(amount) ? amount : undefined;
}
