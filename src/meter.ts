/** What the calls of one kind came to. */
export interface CallTotals {
  readonly calls: number;
  readonly failures: number;
  /** Of `putIfAbsent`: another had created the object. */
  readonly lostRaces: number;
  /** Handed over and received, of calls that did not fail. */
  readonly bytes: number;
  readonly durationMs: number;
  readonly longestMs: number;
}

const NOTHING: CallTotals = { calls: 0, failures: 0, lostRaces: 0, bytes: 0, durationMs: 0, longestMs: 0 };

/** Counts and times calls to the outside world, by kinds such as `store.putIfAbsent` and `kafka.fetch`. */
export class Meter {
  private readonly kinds = new Map<string, CallTotals>();

  /** @param weigh what a call was about, by its result */
  async measure<T>(
    kind: string,
    work: () => Promise<T>,
    weigh: (result: T) => Partial<Pick<CallTotals, 'bytes' | 'lostRaces'>> = () => ({}),
  ): Promise<T> {
    const startedMs = performance.now();
    const count = ({ bytes = 0, lostRaces = 0, failures = 0 }: Partial<CallTotals>) => {
      const before = this.kinds.get(kind) ?? NOTHING;
      const tookMs = performance.now() - startedMs;
      this.kinds.set(kind, {
        calls: before.calls + 1,
        failures: before.failures + failures,
        lostRaces: before.lostRaces + lostRaces,
        bytes: before.bytes + bytes,
        durationMs: before.durationMs + tookMs,
        longestMs: Math.max(before.longestMs, tookMs),
      });
    };
    try {
      const result = await work();
      count(weigh(result));
      return result;
    } catch (error) {
      count({ failures: 1 });
      throw error;
    }
  }

  /** Of all calls that have ended so far. */
  totals(): ReadonlyMap<string, CallTotals> {
    return new Map(this.kinds);
  }
}
