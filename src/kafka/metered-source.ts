import type { Meter } from '../meter.ts';
import { ForwardingSource, type SourceCall } from './forwarding-source.ts';
import type { FetchedBatches, KafkaSource, OffsetRange } from './source.ts';

/** A source whose calls are counted under `kafka.` and their names. */
export class MeteredSource extends ForwardingSource {
  private readonly meter: Meter;

  constructor(source: KafkaSource, meter: Meter) {
    super(source);
    this.meter = meter;
  }

  protected override fetch(
    fetches: AsyncIterator<FetchedBatches>,
    _range: OffsetRange,
  ): Promise<IteratorResult<FetchedBatches>> {
    const bytesOf = (next: IteratorResult<FetchedBatches>) =>
      next.done === true ? 0 : next.value.records.length;
    return this.meter.measure(
      'kafka.fetch',
      () => fetches.next(),
      (next) => ({ bytes: bytesOf(next) }),
    );
  }

  protected override call<T>({ method }: SourceCall, work: () => Promise<T>): Promise<T> {
    return this.meter.measure(`kafka.${method}`, work);
  }
}
