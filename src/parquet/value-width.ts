import type { LeafBuffers } from '../records/leaf-buffers.ts';

/** Bytes of each value in `LeafBuffers.values`; 0 where each has its own length before it. */
export function valueWidth({
  physicalType,
  typeLength,
}: Pick<LeafBuffers, 'physicalType' | 'typeLength'>): number {
  switch (physicalType) {
    case 'BOOLEAN':
      return 1;
    case 'INT32':
    case 'FLOAT':
      return 4;
    case 'INT64':
    case 'DOUBLE':
      return 8;
    case 'BYTE_ARRAY':
      return 0;
    case 'FIXED_LEN_BYTE_ARRAY':
      return typeLength;
  }
}
