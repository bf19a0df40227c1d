/**
 * Frees the memory of a buffer that nobody will look at again, at once; the buffer is empty then. Left to the
 * collector, it counts against the heap, which is collected once for every 8 MiB or so that wait.
 */
export function releaseBuffer({ buffer, byteLength }: Buffer): void {
  // A smaller one lies in memory that others use too.
  const isWhole = byteLength > 0 && byteLength === buffer.byteLength;
  if (isWhole && buffer instanceof ArrayBuffer) buffer.transfer(0);
}
