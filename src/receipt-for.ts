import type { Offsets, Receipt, ReceiptPartition, Until } from './contract.ts';

/**
 * A run's receipt as one of its callers may read it. Several callers may have raised the end of one run, and
 * somebody may have lowered it: `outcome` is then about what this one asked for.
 *
 * @param asked `endingOffsets` are what the run answered, every partition's end
 */
export function receiptFor(
  asked: { readonly until: Until; readonly endingOffsets: Offsets },
  receipt: Receipt,
): Receipt {
  const listed = new Map(receipt.partitions.map((p) => [placeOf(p.topic, p.kafkaPartition), p]));
  const ends = endsAskedFor(asked).map((end) => ({ ...end, partition: listed.get(end.place) }));
  const short = ends.flatMap(({ partition, end }) =>
    partition !== undefined && BigInt(partition.endingOffset) < end ? [partition] : [],
  );
  const allListed = ends.every(({ partition }) => partition !== undefined);
  const runFellShort = receipt.outcome === 'partial' || receipt.endsLowered === true;

  if (short.length === 0 && (allListed || !runFellShort)) {
    const { reason: _, ...rest } = receipt;
    return { ...rest, outcome: 'complete' };
  }
  const lowered = short.filter((p) => BigInt(p.endingOffset) >= BigInt(p.requestedOffset));
  const reason = lowered.length > 0 ? whyLowered(lowered) : (receipt.reason ?? MAYBE_LOWERED);
  return { ...receipt, outcome: 'partial', reason };
}

/**
 * Where offsets were given they are what counts, for the log may have ended before them; the log's end is as
 * promised.
 */
function endsAskedFor({ until, endingOffsets }: { until: Until; endingOffsets: Offsets }) {
  const given = typeof until === 'object' && 'offsets' in until ? until.offsets : undefined;
  return Object.entries(given ?? endingOffsets).flatMap(([topic, partitions]) =>
    Object.entries(partitions).map(([kafkaPartition, offset]) => {
      const isLogEnd = BigInt(offset) < 0n;
      const end = isLogEnd ? (endingOffsets[topic]?.[kafkaPartition] ?? '0') : offset;
      return { place: placeOf(topic, kafkaPartition), end: BigInt(end) };
    }),
  );
}

function placeOf(topic: string, kafkaPartition: number | string): string {
  return `${topic}-${kafkaPartition}`;
}

function whyLowered(lowered: readonly ReceiptPartition[]): string {
  const places = lowered
    .slice(0, 5)
    .map((p) => `${placeOf(p.topic, p.kafkaPartition)} at ${p.endingOffset}`)
    .join(', ');
  return `Somebody lowered the end of this run while it was running: ${places}${lowered.length > 5 ? ' and more' : ''}.`;
}

const MAYBE_LOWERED =
  'Somebody lowered the end of this run while it was running, perhaps in a partition that the receipt does not list.';
