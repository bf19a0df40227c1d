import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '../errors.ts';
import { logEnd, offsetsGone } from './offsets.ts';
import { smaller } from './ranges.ts';
import { scanBatches } from './record-batch.ts';
import type { FetchedBatches, OffsetRange, PartitionDescription, ReadOptions } from './source.ts';
import { notAuthorized, protocolFailure, Unavailable, UnknownPartition } from './unavailable.ts';
import { ERROR, type FetchResponse, transientError } from './wire.ts';

/** What a range reader needs of the cluster. Both calls reject with `Unavailable` where no leader answers. */
export interface RangeLeader {
  /** One fetch from the leader as it is known, at `position`, which waits a little where there is nothing. */
  fetch(
    range: OffsetRange,
    position: bigint,
    maxBytes: number,
    isolation: ReadOptions['isolation'],
  ): Promise<FetchResponse>;

  /** Forgets which broker leads, then asks the one that leads now for the log's ends. */
  refreshEnds(range: OffsetRange): Promise<PartitionDescription>;
}

export interface Patience {
  /** Without any progress for so long, the read fails. */
  readonly stallMs: number;
  /** A partition that the metadata does not have for so long was deleted. */
  readonly missingMs: number;
  /** First pause between two tries; it doubles up to 20 times that. */
  readonly pauseMs: number;
  /** For so long a question about topics is asked again while nobody answers. @default 10,000 */
  readonly questionMs?: number;
}

export const PATIENCE: Patience = { stallMs: 60_000, missingMs: 10_000, pauseMs: 100 };

/** Asked for at once; one more response of this size is on its way while the consumer works. */
const FETCH_BYTES = 4 * 1024 * 1024;
const MAX_FETCH_BYTES = 512 * 1024 * 1024;

/**
 * Fetches [startingOffset, endingOffset) in order, the next fetch in flight while the consumer works. It ends
 * when the position, which every complete batch moves, has reached the end; an empty fetch means nothing.
 *
 * Throws KAFKA_DATA_LOSS.COULD_NOT_READ_OFFSET_RANGE where the position is before the log's start and
 * `onLost` is absent; .PARTITION_OFFSET_CHANGED where the log has ended before the range for `stallMs` (an
 * unclean election); .PARTITIONS_DELETED; KAFKA_UNREACHABLE after `stallMs` without progress;
 * KAFKA_NOT_AUTHORIZED; the signal's reason.
 */
export async function* readRange(
  leader: RangeLeader,
  range: OffsetRange,
  options: ReadOptions,
  patience: Patience = PATIENCE,
): AsyncGenerator<FetchedBatches, void, undefined> {
  const { isolation, signal } = options;
  let position = range.startingOffset;
  let maxBytes = FETCH_BYTES;
  let stall = new Stall(leader, range, isolation, patience);
  const fetch = () => settle(leader.fetch(range, position, maxBytes, isolation));

  let inFlight = position < range.endingOffset ? fetch() : undefined;
  while (inFlight !== undefined) {
    const answer = await abortable(inFlight, signal);
    if (answer.kind === 'fetched' && answer.response.errorCode === ERROR.none) {
      const { nextOffset, neededBytes } = scanBatches(answer.response.records, range);
      if (nextOffset !== undefined && nextOffset > position) {
        position = nextOffset;
        maxBytes = FETCH_BYTES;
        inFlight = position < range.endingOffset ? fetch() : undefined;
        yield answer.response;
        answer.response.release?.();
        stall = new Stall(leader, range, isolation, patience);
        continue;
      }
      if (neededBytes > maxBytes) {
        maxBytes = growFetch(range, position, neededBytes);
        inFlight = fetch();
        continue;
      }
    }
    const logStartOffset = await stall.wait(position, answer, signal);
    if (logStartOffset !== undefined) {
      const until = smaller(logStartOffset, range.endingOffset);
      if (options.onLost === undefined) {
        throw offsetsGone(range.topic, range.kafkaPartition, position, until);
      }
      options.onLost(position, until);
      position = until;
      stall = new Stall(leader, range, isolation, patience);
    }
    inFlight = position < range.endingOffset ? fetch() : undefined;
  }
}

/** Brokers before Kafka 0.10.1 cut a batch that exceeds the fetch; a damaged length looks the same. */
function growFetch(range: OffsetRange, position: bigint, neededBytes: number): number {
  if (neededBytes <= MAX_FETCH_BYTES) return neededBytes;
  throw new Failure(
    'KAFKA_CORRUPT_BATCH',
    `The record batch at offset ${position} of ${range.topic}-${range.kafkaPartition} claims ${neededBytes} bytes.`,
    'The batch was not committed. Try again; if the problem stays, elect another replica as leader.',
  );
}

type Answer =
  | { readonly kind: 'fetched'; readonly response: FetchResponse }
  | { readonly kind: 'failed'; readonly error: unknown };

/** A value instead of a rejection: nobody may be waiting yet when a fetch ahead fails. */
function settle(fetch: Promise<FetchResponse>): Promise<Answer> {
  return fetch.then(
    (response) => ({ kind: 'fetched', response }),
    (error: unknown) => ({ kind: 'failed', error }),
  );
}

async function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await promise;
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** A stretch of time without progress: what has been seen in it, and whether it is long enough to give up. */
class Stall {
  readonly #leader: RangeLeader;
  readonly #range: OffsetRange;
  readonly #isolation: ReadOptions['isolation'];
  readonly #patience: Patience;
  #since: number | undefined;
  /** Since when every look has found the log to end before the range. */
  #endsBeforeSince: number | undefined;
  #missingSince: number | undefined;
  #pauseMs: number;

  constructor(
    leader: RangeLeader,
    range: OffsetRange,
    isolation: ReadOptions['isolation'],
    patience: Patience,
  ) {
    this.#leader = leader;
    this.#range = range;
    this.#isolation = isolation;
    this.#patience = patience;
    this.#pauseMs = patience.pauseMs;
  }

  /**
   * Judges an answer that brought nothing: throws where that is final, else waits for the next try.
   *
   * @returns the log's start where it lies behind the position: what is between is gone for good
   */
  async wait(position: bigint, answer: Answer, signal: AbortSignal | undefined): Promise<bigint | undefined> {
    const now = Date.now();
    this.#since ??= now;
    const reason = this.#reason(answer);
    const ends = await abortable(settleEnds(this.#leader.refreshEnds(this.#range)), signal);
    const endsBefore = 'ends' in ends && logEnd(ends.ends, this.#isolation) < this.#range.endingOffset;
    const missing = 'error' in ends && ends.error instanceof UnknownPartition;
    if ('error' in ends && !(ends.error instanceof Unavailable)) throw ends.error;
    if ('ends' in ends && position < ends.ends.logStartOffset) return ends.ends.logStartOffset;
    this.#endsBeforeSince = endsBefore ? (this.#endsBeforeSince ?? now) : undefined;
    this.#missingSince = missing ? (this.#missingSince ?? now) : undefined;
    this.#giveUp(position, now, 'ends' in ends ? ends.ends : undefined, reason);
    await sleep(this.#pauseMs, undefined, { signal }).catch(() => signal?.throwIfAborted());
    this.#pauseMs = Math.min(this.#pauseMs * 2, this.#patience.pauseMs * 20);
    return undefined;
  }

  #reason(answer: Answer): string {
    if (answer.kind === 'failed') {
      if (!(answer.error instanceof Unavailable)) throw answer.error;
      return answer.error.message;
    }
    const { errorCode } = answer.response;
    const { topic, kafkaPartition } = this.#range;
    if (errorCode === ERROR.none) return 'its leader sends nothing';
    if (errorCode === ERROR.offsetOutOfRange) return 'its leader does not have the offset';
    if (errorCode === ERROR.topicAuthorizationFailed) throw notAuthorized([topic]);
    if (errorCode === ERROR.corruptMessage) {
      throw new Failure(
        'KAFKA_CORRUPT_BATCH',
        `The broker reports that its own log of ${topic}-${kafkaPartition} is corrupt.`,
        "Check the broker's log, and elect another replica as leader.",
      );
    }
    const name = transientError(errorCode);
    if (name !== undefined) return `its leader answers ${name}`;
    throw protocolFailure('Fetch', `${topic}-${kafkaPartition}`, errorCode);
  }

  #giveUp(position: bigint, now: number, ends: PartitionDescription | undefined, reason: string): void {
    const { topic, kafkaPartition, endingOffset } = this.#range;
    const { stallMs, missingMs } = this.#patience;
    if (this.#missingSince !== undefined && now - this.#missingSince >= missingMs) {
      throw new Failure(
        'KAFKA_DATA_LOSS.PARTITIONS_DELETED',
        `${topic}-${kafkaPartition} was deleted while offsets [${position}, ${endingOffset}) were still to be read.`,
        `The batch was not committed. Find out who deleted the topic. \`tidemark repair PIPELINE\` shows how to continue.`,
      );
    }
    if (this.#endsBeforeSince !== undefined) {
      if (ends === undefined || now - this.#endsBeforeSince < stallMs) return;
      throw new Failure(
        'KAFKA_DATA_LOSS.PARTITION_OFFSET_CHANGED',
        `The log of ${topic}-${kafkaPartition} has ended at ${logEnd(ends, this.#isolation)} for ${stallMs / 1000} s, ` +
          `before offset ${endingOffset}, which it had when the drain was planned.`,
        'The broker lost records: an unclean leader election, or a restored disk. The batch was not committed. ' +
          'Start the drain again: it plans up to where the log ends now. If the table already holds more, `tidemark repair PIPELINE` shows how to continue.',
      );
    }
    if (now - (this.#since ?? now) < stallMs) return;
    throw new Failure(
      'KAFKA_UNREACHABLE',
      `No progress at offset ${position} of ${topic}-${kafkaPartition} for ${stallMs / 1000} s: ${reason}.`,
      'Check that the brokers are up and that the partition has a leader. The read is tried again.',
    );
  }
}

function settleEnds(
  ends: Promise<PartitionDescription>,
): Promise<{ ends: PartitionDescription } | { error: unknown }> {
  return ends.then(
    (ends) => ({ ends }),
    (error: unknown) => ({ error }),
  );
}
