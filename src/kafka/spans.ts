/** Offsets [from, until). */
export interface Span {
  readonly from: bigint;
  readonly until: bigint;
}

/** At most so many spans of offsets are kept, the first ones; counts beside them include all. */
export const SPANS_KEPT = 100;

/**
 * Adds a span to ascending ones that are apart from each other, joined with those that it overlaps or
 * touches.
 */
export function insertSpan(spans: Span[], { from, until }: Span): void {
  // A span that ends where this one begins is touched, too.
  const first = firstEndingAfter(spans, from - 1n);
  let after = first;
  while (after < spans.length && (spans[after] as Span).from <= until) after++;
  const touched = spans.slice(first, after);
  const [lowest] = touched;
  const highest = touched.at(-1);
  const joined = {
    from: lowest !== undefined && lowest.from < from ? lowest.from : from,
    until: highest !== undefined && highest.until > until ? highest.until : until,
  };
  spans.splice(first, touched.length, joined);
}

/** Index of the first span with `until` > `offset`, by halving. */
export function firstEndingAfter(spans: readonly Span[], offset: bigint): number {
  let [low, high] = [0, spans.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((spans[middle] as Span).until > offset) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The first `SPANS_KEPT` of them all, as `spansToText` tells them; undefined where there are none. */
export function keptSpans(spans: Iterable<Span>): string | undefined {
  const joined: Span[] = [];
  for (const span of spans) if (span.from < span.until) insertSpan(joined, span);
  return joined.length === 0 ? undefined : spansToText(joined.slice(0, SPANS_KEPT));
}

/** `17,20-23`, the last of a span included. */
export function spansToText(spans: readonly Span[]): string {
  return spans
    .map(({ from, until }) => (until - from === 1n ? String(from) : `${from}-${until - 1n}`))
    .join();
}

export function spansFromText(text: string): Span[] {
  return text.split(',').map((span) => {
    const [from = '', last = from] = span.split('-');
    return { from: BigInt(from), until: BigInt(last) + 1n };
  });
}
