/**
 * For glibc, mallopt(3): few arenas, and blocks of `bytes` and more go back to the system as soon as they are
 * freed, for each page of which the next one pays with a page fault.
 */
export function leanMalloc(bytes: number): Readonly<Record<string, string>> {
  return {
    MALLOC_ARENA_MAX: '2',
    MALLOC_MMAP_THRESHOLD_: String(bytes),
    MALLOC_TRIM_THRESHOLD_: String(bytes),
  };
}
