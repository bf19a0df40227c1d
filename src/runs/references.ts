import { createHash } from 'node:crypto';
import type { Reference } from '../contract.ts';
import { Failure } from '../errors.ts';
import type { ObjectStore } from '../storage/object-store.ts';

/**
 * Plans, file descriptors and ledgers travel through Temporal as `{path, sha256}`; their content lies as JSON
 * under the table's `_tidemark/`. A name carries the content's hash, so writing the same twice is the same
 * file.
 *
 * @param name path below `_tidemark/` without ending, such as `runs/drain-products.1f2e/plan`
 * @param value plain JSON: no bigint, Map or Date
 */
export async function storeReference(store: ObjectStore, name: string, value: unknown): Promise<Reference> {
  const content = Buffer.from(JSON.stringify(value));
  const sha256 = createHash('sha256').update(content).digest('hex');
  const path = `_tidemark/${name}-${sha256.slice(0, 16)}.json`;
  await store.putIfAbsent(path, content);
  return { path, sha256 };
}

/** The value behind a reference, proven by its hash. Throws REFERENCE_CORRUPT where it is gone or altered. */
export async function loadReference<T>(store: ObjectStore, reference: Reference): Promise<T> {
  const content = await store.read(reference.path);
  const sha256 = content && createHash('sha256').update(content).digest('hex');
  if (content === undefined || sha256 !== reference.sha256) {
    const what = content === undefined ? 'is gone' : 'was altered after it was written';
    throw new Failure(
      'REFERENCE_CORRUPT',
      `${store.root}/${reference.path} ${what}.`,
      'Nothing was committed. Start the run again; keep other programs away from the folder _tidemark.',
    );
  }
  return JSON.parse(content.toString('utf8')) as T;
}
