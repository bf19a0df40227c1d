/** Sizes, counts and durations as people read them. The other way round: units.ts. */

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

export function formatBytes(bytes: number): string {
  const power = bytes < 1024 ? 0 : Math.min(BYTE_UNITS.length - 1, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${power === 0 || Number.isInteger(value) ? value : value.toFixed(1)} ${BYTE_UNITS[power]}`;
}

export function formatCount(count: number | bigint): string {
  return count.toLocaleString('en-US');
}

/** `1 file`, `2 files`. */
export function formatCountOf(count: number, name: string): string {
  return `${formatCount(count)} ${name}${count === 1 ? '' : 's'}`;
}

export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const units = [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
  ] as const;
  const tenths = Math.round(ms / 100) * 100;
  const exact = units.find(([, unitMs]) => tenths % unitMs === 0);
  if (exact) return `${tenths / exact[1]}${exact[0]}`;
  const minutes = Math.floor(tenths / 60_000);
  return `${minutes > 0 ? `${minutes}m ` : ''}${(tenths % 60_000) / 1000}s`;
}

export function formatSchedule(schedule: { readonly everyMs: number } | { readonly cron: string }): string {
  return 'cron' in schedule ? `at ${schedule.cron}` : `every ${formatDuration(schedule.everyMs)}`;
}
