import { Failure } from '../errors.ts';
import { LocalStore } from './local-store.ts';
import { placeOf } from './location.ts';
import type { ObjectStore } from './object-store.ts';

/**
 * The store at a location, which a table's `location` or that of its dead letters is. Nothing is asked of it
 * yet.
 */
export type OpenStore = (location: string) => ObjectStore;

/**
 * The stores of a worker or a command, by the scheme of a location. A store's other settings (endpoint,
 * credentials) come from the environment, never from a pipeline: stores are opened before any specification
 * can be read, and specifications lie in them.
 *
 * The returned function throws CONFIGURATION_INVALID for a location without a store.
 */
export function stores(_environment: Readonly<Record<string, string | undefined>>): OpenStore {
  return (location) => {
    const place = placeOf(location);
    if (place.kind === 'refused') throw new Failure('CONFIGURATION_INVALID', place.problem, place.fix);
    return new LocalStore(place.folder);
  };
}
