import { LocalStore } from '../../src/storage/local-store.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';

export type StoreKind = 'local';

/** By name and place, so that a child process can open the same store. */
export function openStore(_kind: StoreKind, root: string): ObjectStore {
  return new LocalStore(root);
}

/**
 * Content that proves itself: its length, then one byte over and over. Big enough not to be written at once.
 */
export function contentOf(id: number): Buffer {
  const content = Buffer.alloc(200_000 + id * 1000, id);
  content.writeDoubleLE(content.length);
  return content;
}

export function wholeContent(content: Buffer | undefined): boolean {
  if (content === undefined || content.length < 9 || content.readDoubleLE() !== content.length) return false;
  const [byte] = content.subarray(8);
  return content.subarray(8).every((other) => other === byte);
}
