import type { DrainProgress } from '../../contract.ts';
import { formatCount } from '../../format.ts';
import type { WriteProgress } from '../../tasks/orders.ts';

const BAR_WIDTH = 28;

/** How far a drain is as one line: committed, written and, by the heartbeats of its write tasks, read. */
export function describeDrain(startedAtMs: number) {
  return (progress: DrainProgress, heartbeats: readonly unknown[]): string => {
    const { offsetsToDrain: all, offsetsDrained, batch, phase } = progress;
    if (all === undefined) return 'planning';
    const inFlight = heartbeats.reduce<number>((sum, beat) => sum + offsetsRead(beat), 0);
    const done = Math.min(offsetsDrained + (batch?.offsetsWritten ?? 0) + inFlight, all);
    const share = all === 0 ? 1 : done / all;
    const filled = Math.round(share * BAR_WIDTH);
    const bar = '█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled);
    const seconds = Math.max((Date.now() - startedAtMs) / 1000, 0.1);
    const rate = formatCount(Math.round(done / seconds));
    const letters = progress.totals.deadLetters;
    const set = letters === 0 ? '' : `  ${formatCount(letters)} dead letters`;
    return `${bar} ${Math.floor(share * 100)}%  ${formatCount(done)} of ${formatCount(all)} offsets  ${rate}/s${set}  ${phase}`;
  };
}

function offsetsRead(heartbeat: unknown): number {
  return (heartbeat as Partial<WriteProgress> | null)?.offsetsRead ?? 0;
}
