/**
 * Promise: rows, dead letters and counted offsets together are the topic, exactly, under kill -9 of the
 * worker and with overlapping runs of different plans. Method: a dirty topic; each kill leaves its run and
 * another one begins with other batch sizes and write tasks; every second kill waits for a commit, to hit
 * between it and the publication of its letters. Then delta-rs over both tables against an independent
 * consumer, offset by offset and byte by byte. A kill counts only if a run was unfinished when it hit.
 */
import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { WorkflowHandle } from '@temporalio/client';
import { expect } from 'vitest';
import type { Receipt } from '../../../src/client.ts';
import { DEAD_LETTERS_APP_ID, publishedAppId } from '../../../src/commits/pipeline-state.ts';
import { DeltaLog } from '../../../src/delta/log.ts';
import { deadLettersLocation } from '../../../src/records/dead-letters.ts';
import { LocalStore } from '../../../src/storage/local-store.ts';
import { uniqueName, waitUntil } from '../setup/harness.ts';
import { it } from '../setup/place.ts';
import { readers, report, seededRandom, sized } from './proof.ts';

const RECORDS = sized(12_000, 400_000);
const PARTITIONS = 3;
const KILLS = sized(3, 12);

it('rows, dead letters and counted offsets are the topic, under kill -9 and overlapping runs', {
  timeout: sized(600_000, 2_400_000),
}, async ({ own, skip }) => {
  const python = await readers();
  if (python === undefined) return skip();
  const random = seededRandom();
  const { brokers, location } = own;
  const name = uniqueName('letters');
  const topic = await own.topic('letters', dirtyRecords(random), { partitions: PARTITIONS, codec: 'LZ4' });
  const writePlan = async () => {
    const maxOffsetsPerBatch = Math.ceil((RECORDS / KILLS) * (0.1 + random() * 0.4));
    const coalesce = 1 + Math.floor(random() * 4);
    await own.pipeline(name, {
      source: { subscribe: [topic] },
      records: { format: 'json', mode: 'deadLetter', schema: 'n BIGINT NOT NULL' },
      limits: { maxOffsetsPerBatch },
      table: { coalesce },
    });
    return `batches of ${maxOffsetsPerBatch} offsets, ${coalesce} write tasks`;
  };

  const client = await own.temporal();
  const runs: WorkflowHandle[] = [];
  const startRun = async () => {
    const plan = await writePlan();
    const workflowId = `drain-${name}-${runs.length}`;
    const run = await client.workflow.start('drain', {
      workflowId,
      taskQueue: 'tidemark',
      args: [{ pipeline: name }],
    });
    runs.push(run);
    // The run keeps the plan that is in the file now: it is read once.
    await waitUntil(async () => (await progressOf(run)) !== undefined);
    return plan;
  };

  let worker = await own.worker();
  let [hits, unpublished] = [0, 0];
  for (let kill = 1; kill <= KILLS; kill++) {
    const plan = await startRun();
    if (kill % 2 === 1) await nextCommit(location);
    else await sleep(Math.round(random() * sized(1_000, 3_000)));
    const running = await unfinished(runs);
    await worker.stop('SIGKILL');
    const lagging = await isLagging(location);
    if (running > 0) hits++;
    if (lagging) unpublished++;
    report(
      `kill ${kill}: ${running} runs unfinished, ${lagging ? 'letters' : 'no letters'} committed and not yet published; ${plan}`,
    );
    worker = await own.worker();
  }
  await startRun();
  report(
    `${hits} of ${KILLS} kills met an unfinished run, ${unpublished} between commit and publication; ` +
      `${new Set(runs.map(({ workflowId }) => workflowId)).size} distinct workflow ids`,
  );
  expect(hits).toBeGreaterThan(0);

  const receipts: Receipt[] = await Promise.all(runs.map((run) => run.result()));
  for (const { outcome } of receipts) expect(outcome).toBe('complete');
  const counted = receipts.map(({ totals }) => totals);
  const sum = (term: 'rows' | 'deadLetters' | 'tombstones') =>
    counted.reduce((total, totals) => total + totals[term], 0);
  expect(await isLagging(location)).toBe(false);

  const script = fileURLToPath(new URL('../../readers/dead_letters.py', import.meta.url));
  const { stdout } = await promisify(execFile)(
    python.python,
    [script, topic, location, deadLettersLocation(location)],
    { env: { ...process.env, KAFKA_BROKERS: brokers } },
  );
  const found = JSON.parse(stdout);
  report(
    `delta-rs against librdkafka: ${found.records} records are ${found.rows} rows, ${found.letters} dead letters and ` +
      `${found.tombstones} tombstones; ${found.wrong} lost, doubled or changed`,
  );
  report(
    `the receipts count ${sum('rows')} rows, ${sum('deadLetters')} dead letters, ${sum('tombstones')} tombstones`,
  );
  expect([found.records, found.wrong, found.examples]).toEqual([RECORDS, 0, []]);
  expect([sum('rows'), sum('deadLetters'), sum('tombstones')]).toEqual([
    found.rows,
    found.letters,
    found.tombstones,
  ]);
  await worker.stop();
});

/**
 * One in ten is no row: cut off, of the wrong type, no object, no UTF-8, empty; one in forty has no value.
 */
function dirtyRecords(random: () => number) {
  const dirt = [
    '{"n":',
    '{"n":"one"}',
    '{"n":1.5}',
    '[1]',
    'null',
    '',
    '{"m":1}',
    Buffer.from('{"n":1,"t":"\xff"}', 'latin1'),
  ];
  return Array.from({ length: RECORDS }, (_, n) => {
    const value =
      random() < 0.025
        ? null
        : random() < 0.1
          ? (dirt[Math.floor(random() * dirt.length)] ?? '')
          : JSON.stringify({ n, text: 'x'.repeat(Math.floor(random() * 200)) });
    return { value, partition: n % PARTITIONS };
  });
}

async function progressOf(run: WorkflowHandle): Promise<number | undefined> {
  const progress = await run
    .query<{ offsetsToDrain?: number }, []>('progress')
    .catch(() => ({ offsetsToDrain: undefined }));
  return progress.offsetsToDrain;
}

async function unfinished(runs: readonly WorkflowHandle[]): Promise<number> {
  const states = await Promise.all(runs.map((run) => run.describe()));
  return states.filter(({ status }) => status.name === 'RUNNING').length;
}

/** Returns the moment that another version is in the table's log, or after 10 s without one. */
async function nextCommit(location: string): Promise<void> {
  const log = openLog(location);
  const versionNow = async () => (await log.snapshot())?.tableVersion ?? -1;
  const before = await versionNow();
  for (const until = Date.now() + 10_000; Date.now() < until && (await versionNow()) === before; )
    await sleep(2);
}

async function isLagging(location: string): Promise<boolean> {
  const main = await openLog(location).snapshot();
  const letters = await openLog(deadLettersLocation(location)).snapshot();
  const carried = main?.txns.get(DEAD_LETTERS_APP_ID);
  return carried !== letters?.txns.get(publishedAppId(main?.metaData.id ?? ''));
}

function openLog(location: string): DeltaLog {
  return new DeltaLog(new LocalStore(location), { now: Date.now });
}
