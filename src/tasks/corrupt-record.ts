import { isUtf8 } from 'node:buffer';
import type { LeafColumn } from '../records/columns.ts';

/**
 * Stores a record's text as it came, for `_corrupt_record`. Bytes that are not UTF-8 become U+FFFD, as a
 * STRING column must be UTF-8: then, and only then, the column is not the record byte for byte.
 */
export function appendCorruptRecord(leaf: LeafColumn, buffer: Buffer, start: number, end: number): void {
  const bytes = buffer.subarray(start, end);
  if (isUtf8(bytes)) {
    leaf.appendBytes(buffer, start, end, 0);
    return;
  }
  const replaced = Buffer.from(bytes.toString('utf8'));
  leaf.appendBytes(replaced, 0, replaced.length, 0);
}
