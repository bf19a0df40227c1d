import { existsSync, readFileSync } from 'node:fs';
import { InvalidArgumentError } from 'commander';

/** What one round of one system has come to. */
export interface Measured {
  /** From the request to the committed rows. */
  readonly seconds: number;
  /** User and system, of all processes of the system, brokers left out. */
  readonly cpuSeconds: number;
  /** Of its largest process. */
  readonly peakMemoryMiB: number;
  readonly rows: number;
  readonly bytesWritten: number;
}

/** Linux counts a process's time in these. */
const TICKS_PER_SECOND = 100;

/** CPU seconds that a process and those of its children that have ended have used; threads included. */
export function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The command's name stands in parentheses and may hold spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = fields.slice(11, 15).map(Number);
  return ticks.reduce((sum, each) => sum + each, 0) / TICKS_PER_SECOND;
}

/** The most memory that a process has held at once (VmHWM). */
export function peakMemoryMiB(pid: number): number {
  if (!existsSync(`/proc/${pid}/status`)) return Number.NaN;
  const [, kibibytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kibibytes) / 1024;
}

/**
 * The most that one of some processes or of their children held at once, looked at ten times a second until
 * `stop`.
 */
export class MemoryWatch {
  private readonly pids: readonly number[];
  private readonly timer = setInterval(() => this.look(), 100);
  private peakMiB = 0;

  constructor(pids: readonly number[]) {
    this.pids = pids;
  }

  stop(): number {
    clearInterval(this.timer);
    this.look();
    return this.peakMiB;
  }

  private look(): void {
    for (const pid of this.pids.flatMap((pid) => [pid, ...childrenOf(pid)])) {
      // NaN for one that is ending.
      const peakMiB = peakMemoryMiB(pid);
      if (peakMiB > this.peakMiB) this.peakMiB = peakMiB;
    }
  }
}

/** Node forks from its main thread. */
function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

export function wholeNumber(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1) return value;
  throw new InvalidArgumentError('A whole number from 1 on is wanted.');
}
