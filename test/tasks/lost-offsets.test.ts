/**
 * Promise: what was lost is named by its offsets, wherever it was found: at planning, while reading, as a
 * hole. Method: two write tasks of one batch read a log of which parts go away meanwhile; the commit's ledger
 * and the run's say where.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterAll, expect, it } from 'vitest';
import { type CommitBatchResult, commitBatch } from '../../src/activities/commit-batch.ts';
import type { Dependencies } from '../../src/activities/dependencies.ts';
import { readBatchRecord } from '../../src/commits/batch-record.ts';
import type { Reference } from '../../src/contract.ts';
import { DeltaLog } from '../../src/delta/log.ts';
import type { Snapshot } from '../../src/delta/snapshot.ts';
import type { KafkaSource, OffsetRange, ReadOptions } from '../../src/kafka/source.ts';
import { parsePipeline } from '../../src/pipeline/load.ts';
import type { PlanDocument, RunLedgerDocument } from '../../src/runs/documents.ts';
import { loadReference, storeReference } from '../../src/runs/references.ts';
import { LocalStore } from '../../src/storage/local-store.ts';
import type { Adapters } from '../../src/tasks/adapters.ts';
import type { WriteResult } from '../../src/tasks/orders.ts';
import { carryOutWriteOrder } from '../../src/tasks/write-order.ts';
import { encodeBatch, fetched } from '../kafka/batches.ts';

const root = mkdtempSync(join(tmpdir(), 'tidemark-test-'));
afterAll(() => rmSync(root, { recursive: true }));

it('says in the ledger where offsets were lost', async () => {
  const { store, commit, ledgerOf } = await begin();
  await commit({ startingOffset: null, readFrom: 0, ends: [5] }, [[records(0, 5)]]);
  // The log begins at 10 when the batch is planned, at 12 when it is read; it has a hole, and is not
  // compacted.
  const batch = { startingOffset: 5, readFrom: 10, ends: [15, 20] };
  const { ledger } = await commit(batch, [
    [lost(10, 12), records(12, 15)],
    [records(15, 16), records(18, 20)],
  ]);
  const expected = { lostOffsets: '5-11,16-17', accounting: { rows: 6, lost: 9, gaps: 0 } };
  expect(await ledgerOf(1)).toMatchObject(expected);
  expect(await ledgerOf(0)).not.toHaveProperty('lostOffsets');
  const ofRun = await loadReference<RunLedgerDocument>(store, ledger);
  expect(ofRun.partitions).toMatchObject([{ offsets: 15, ...expected }]);
});

it('joins the spans of a run, keeps the first hundred of them, and counts all', async () => {
  const { store, commit, ledgerOf } = await begin();
  const holes = Array.from({ length: 5 }, (_, n) => records(2 * n, 2 * n + 1));
  const one = await commit({ startingOffset: null, readFrom: 0, ends: [10, 160] }, [holes, [lost(10, 160)]]);
  expect(await ledgerOf(0)).toMatchObject({
    lostOffsets: '1,3,5,7,9-159',
    accounting: { rows: 5, lost: 155 },
  });

  const many = Array.from({ length: 300 }, (_, n) => records(160 + 2 * n, 161 + 2 * n));
  const batch = { startingOffset: 160, readFrom: 160, ends: [760] };
  const two = await commit(batch, [many], one.ledger);
  const entry = await ledgerOf(1);
  expect(entry?.accounting).toMatchObject({ rows: 300, lost: 300 });
  expect(entry?.lostOffsets?.split(',')).toEqual(Array.from({ length: 100 }, (_, n) => String(161 + 2 * n)));
  const ofRun = await loadReference<RunLedgerDocument>(store, two.ledger);
  expect(ofRun.partitions[0]?.lostOffsets).toMatch(/^1,3,5,7,9-159,161,/);
  expect(ofRun.partitions[0]?.lostOffsets?.split(',')).toHaveLength(100);
});

type Step = { readonly from: number; readonly until: number; readonly isLost: boolean };
const lost = (from: number, until: number): Step => ({ from, until, isLost: true });
const records = (from: number, until: number): Step => ({ from, until, isLost: false });

interface PlannedBatch {
  readonly startingOffset: number | null;
  readonly readFrom: number;
  /** Of its write tasks, exclusive. */
  readonly ends: readonly number[];
}

/** A table of one partition, to commit batches to by what its write tasks meet in the log. */
async function begin() {
  const table = mkdtempSync(join(root, 'table-'));
  // Elsewhere: whatever takes one for the other does not find it.
  const documents = mkdtempSync(join(root, 'documents-'));
  const openStore = (at: string) => new LocalStore(at);
  const store = openStore(documents);
  const log = new DeltaLog(openStore(table), { now: Date.now });
  const specification = parsePipeline(
    `source: {bootstrapServers: "127.0.0.1:1", subscribe: t, failOnDataLoss: false}
records: {schema: "n BIGINT"}
table: {location: ${table}}
`,
    join(root, 'lost.yaml'),
    {},
  );
  const stored = await storeReference(store, 'runs/r/specification', specification);
  const run = { pipeline: specification.name, id: 'r', documents, table, specification: stored };

  const commit = async (batch: PlannedBatch, reads: readonly (readonly Step[])[], ledger?: Reference) => {
    const plan = await storeReference(
      store,
      'runs/r/plan',
      planOf(batch, specification.name, await log.snapshot()),
    );
    const files: WriteResult[] = [];
    for (const [task, steps] of reads.entries()) {
      const adapters = { openStore, connectKafka: async () => sourceOf(steps) } as unknown as Adapters;
      files.push(await carryOutWriteOrder(adapters, { run, plan, task }, () => {}));
    }
    const dependencies = { openStore, openLog: () => log } as unknown as Dependencies;
    const input = { run, plan, files, ...(ledger === undefined ? {} : { ledger }) };
    const result: CommitBatchResult = await new MockActivityEnvironment().run(
      commitBatch.bind(undefined, dependencies, input),
    );
    if (result.kind !== 'committed') throw new Error(`not committed: ${JSON.stringify(result)}`);
    for (const { path } of await store.list('')) expect(path).toMatch(/^_tidemark\/runs\/r\//);
    expect(await openStore(table).list('_tidemark/runs/')).toEqual([]);
    return result;
  };
  const ledgerOf = async (tableVersion: number) => {
    const version = (await log.versionsSince(-1)).find((one) => one.tableVersion === tableVersion);
    return version && readBatchRecord(version)?.partitions[0];
  };
  return { store, commit, ledgerOf };
}

function planOf(
  { startingOffset, readFrom, ends }: PlannedBatch,
  pipeline: string,
  snapshot: Snapshot | undefined,
): PlanDocument {
  const at = { topic: 't', kafkaPartition: 0 };
  const starts = [readFrom, ...ends];
  return {
    batchId: `b${readFrom}`,
    pipeline,
    tableId: snapshot?.metaData.id ?? null,
    epoch: '0',
    tableVersion: snapshot?.tableVersion ?? -1,
    specificationHash: '',
    topics: [{ topic: 't', identity: null, compacted: false }],
    partitions: [
      {
        ...at,
        startingOffset: startingOffset === null ? null : String(startingOffset),
        readFrom: String(readFrom),
        endingOffset: String(ends.at(-1)),
      },
    ],
    tasks: ends.map((end, task) => [
      { ...at, startingOffset: String(starts[task]), endingOffset: String(end) },
    ]),
  };
}

/** A log that has what the steps say; after them, offsets that an empty batch stands for. */
function sourceOf(steps: readonly Step[]): KafkaSource {
  return {
    async *readRange({ endingOffset }: OffsetRange, { onLost }: ReadOptions) {
      for (const { from, until, isLost } of steps) {
        if (isLost) onLost?.(BigInt(from), BigInt(until));
        else yield fetched(encodeBatch({ baseOffset: from, records: rowsOf(until - from) }));
      }
      const rest = Number(endingOffset) - (steps.at(-1)?.until ?? 0);
      if (rest > 0) {
        const baseOffset = Number(endingOffset) - rest;
        yield fetched(encodeBatch({ baseOffset, lastOffsetDelta: rest - 1, records: [] }));
      }
    },
    topicIds: async () => new Map(),
    close: async () => {},
  } as unknown as KafkaSource;
}

function rowsOf(count: number) {
  return Array.from({ length: count }, (_, n) => ({ value: `{"n":${n}}`, offsetDelta: n }));
}
