import { createHash } from 'node:crypto';
import type { Specification } from './specification.ts';

/**
 * SHA-256 of the specification as canonical JSON (keys sorted), in hexadecimal: equal for equal
 * specifications.
 */
export function specificationHash(specification: Specification): string {
  const canonical = JSON.stringify(specification, (_, value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  );
  return createHash('sha256').update(canonical).digest('hex');
}
