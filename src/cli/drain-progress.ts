import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { defaultPayloadConverter } from '@temporalio/common';
import type { WriteProgress } from '../activities/dependencies.ts';
import { type DrainProgress, drainId } from '../workflows/contract.ts';
import { formatCount, type Output } from './output.ts';

const POLL_EVERY_MS = 400;
const PLAIN_LINE_EVERY_MS = 5_000;
const BAR_WIDTH = 28;
const REASON_MAX = 300;

/**
 * Shows how far a drain is on stderr: one line redrawn on a terminal, a line now and then elsewhere, and each retry with
 * its reason, so that waiting is never silent.
 */
export function showProgress(client: Client, pipeline: string, output: Output): { stop(): void } {
  const handle = client.workflow.getHandle(drainId(pipeline));
  const startedAtMs = Date.now();
  const shown = new Set<string>();
  let lastLineMs = Date.now();
  const stopped = new AbortController();

  const poll = async () => {
    const described = await handle.describe();
    if (stopped.signal.aborted || described.status.name !== 'RUNNING') return;
    const pending = described.raw.pendingActivities ?? [];
    for (const { activityType, attempt, lastFailure } of pending) {
      const reason = lastFailure?.message?.replaceAll('\n', ' ').slice(0, REASON_MAX);
      const line = `${activityType?.name} failed, attempt ${attempt} follows: ${reason}`;
      if (reason === undefined || (attempt ?? 0) < 2 || shown.has(line)) continue;
      shown.add(line);
      write(`${line}\n`);
    }
    const progress = await handle.query<DrainProgress>('progress');
    if (stopped.signal.aborted) return;
    const inFlight = pending
      .map(({ heartbeatDetails }) => heartbeatDetails?.payloads?.[0])
      .map((payload) => (payload ? defaultPayloadConverter.fromPayload<WriteProgress>(payload) : undefined))
      .reduce((sum, heartbeat) => sum + (heartbeat?.offsetsRead ?? 0), 0);
    draw(progress, inFlight);
  };

  const write = (text: string) => process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${text}` : text);
  const draw = (progress: DrainProgress, inFlight: number) => {
    const written = progress.batch?.offsetsWritten ?? 0;
    const done = Math.min(progress.offsetsDrained + written + inFlight, progress.offsetsToDrain ?? 0);
    const line = describe(progress, done, (Date.now() - startedAtMs) / 1000);
    if (process.stderr.isTTY) write(line);
    else if (Date.now() - lastLineMs >= PLAIN_LINE_EVERY_MS) {
      lastLineMs = Date.now();
      output.note(line);
    }
  };

  // One poll at a time: queries that wait for a worker would pile up at the server.
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
      if (process.stderr.isTTY) write('');
    },
  };
}

function describe(progress: DrainProgress, done: number, seconds: number): string {
  const all = progress.offsetsToDrain;
  if (all === undefined) return 'planning';
  const share = all === 0 ? 1 : done / all;
  const filled = Math.round(share * BAR_WIDTH);
  const bar = '█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled);
  const rate = formatCount(Math.round(done / Math.max(seconds, 0.1)));
  return `${bar} ${Math.floor(share * 100)}%  ${formatCount(done)} of ${formatCount(all)} offsets  ${rate}/s  ${progress.phase}`;
}
