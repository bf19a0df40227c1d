/** For glibc, mallopt(3): few arenas, and blocks from 128 KiB on go back to the system as soon as they are freed. */
export const LEAN_MALLOC = {
  MALLOC_ARENA_MAX: '2',
  MALLOC_MMAP_THRESHOLD_: '131072',
  MALLOC_TRIM_THRESHOLD_: '131072',
} as const;
