import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { defaultPayloadConverter } from '@temporalio/common';
import type { Output } from './output.ts';

const POLL_EVERY_MS = 400;
const PLAIN_LINE_EVERY_MS = 5_000;
const REASON_MAX = 300;

export interface WatchedRun<Progress> {
  readonly client: Client;
  readonly workflowId: string;
  readonly output: Output;
  /**
   * One line of what the query `progress` answers; `heartbeats` are those of the activities that are open
   * now.
   */
  readonly describe: (progress: Progress, heartbeats: readonly unknown[]) => string;
}

/**
 * Shows a run on stderr until `stop`: one line redrawn on a terminal, a changed line now and then elsewhere,
 * and each retry with its reason, so that waiting is never silent.
 */
export function watchRun<Progress>(run: WatchedRun<Progress>): { stop(): void } {
  const { client, output } = run;
  const handle = client.workflow.getHandle(run.workflowId);
  const stopped = new AbortController();
  const screen = new ProgressLine(output);

  const poll = async () => {
    const { status, raw } = await handle.describe();
    // A run of the same id that is over is another caller's.
    if (stopped.signal.aborted || status.name !== 'RUNNING') return;
    const pending = raw.pendingActivities ?? [];
    for (const { activityType, attempt, lastFailure } of pending) {
      const reason = lastFailure?.message?.replaceAll('\n', ' ').slice(0, REASON_MAX);
      if (reason === undefined || (attempt ?? 0) < 2) continue;
      screen.note(`${activityType?.name} failed, attempt ${attempt} follows: ${reason}`);
    }
    const progress = await handle.query<Progress>('progress');
    if (stopped.signal.aborted) return;
    const heartbeats = pending.flatMap(
      ({ heartbeatDetails }) => heartbeatDetails?.payloads?.slice(0, 1) ?? [],
    );
    screen.draw(
      run.describe(
        progress,
        heartbeats.map((payload) => defaultPayloadConverter.fromPayload(payload)),
      ),
    );
  };
  // One poll at a time, ended with the run: queries wait for a worker, and would pile up at the server
  // without one.
  const loop = async () => {
    while (!stopped.signal.aborted) {
      await client.withAbortSignal(stopped.signal, poll).catch(() => {});
      await sleep(POLL_EVERY_MS, undefined, { signal: stopped.signal }).catch(() => {});
    }
  };
  void loop();
  return {
    stop() {
      if (stopped.signal.aborted) return;
      stopped.abort();
      screen.clear();
    },
  };
}

class ProgressLine {
  private readonly output: Output;
  private readonly noted = new Set<string>();
  private last = '';
  private lastMs = Date.now();

  constructor(output: Output) {
    this.output = output;
  }

  /** A line that stays, once. */
  note(line: string): void {
    if (this.noted.has(line)) return;
    this.noted.add(line);
    this.clear();
    this.output.note(line);
  }

  draw(line: string): void {
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}`);
    else if (line !== this.last && Date.now() - this.lastMs >= PLAIN_LINE_EVERY_MS) {
      this.last = line;
      this.lastMs = Date.now();
      this.output.note(line);
    }
  }

  clear(): void {
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  }
}
