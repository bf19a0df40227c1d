import type { Meter } from '../meter.ts';
import { ForwardingStore, type StoreCall } from './forwarding-store.ts';
import type { ObjectStore } from './object-store.ts';

/** A store whose calls, and those of its writers, are counted under `store.` and their names. */
export class MeteredStore extends ForwardingStore {
  private readonly meter: Meter;

  constructor(store: ObjectStore, meter: Meter) {
    super(store);
    this.meter = meter;
  }

  protected override call<T>({ method, bytes = 0 }: StoreCall, work: () => Promise<T>): Promise<T> {
    return this.meter.measure(`store.${method}`, work, (result) => ({
      bytes: bytes + (result instanceof Uint8Array ? result.length : 0),
      lostRaces: result === 'exists' ? 1 : 0,
    }));
  }
}
