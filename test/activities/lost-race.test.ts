/**
 * Goal: an operator reads in one line that an attempt has changed nothing, who was first, and what becomes of
 * its files.
 */
import { expect, it } from 'vitest';
import { describeLostRace } from '../../src/activities/lost-race.ts';

const partition = { topic: 'crawl', kafkaPartition: 0, startingOffset: 500n, committedOffset: 1000n };

it.each([
  [
    { kind: 'alreadyCommitted', record: { tableVersion: 12 } },
    'is version 12 already: another attempt committed it, or an earlier one whose answer was lost. This attempt changed nothing.',
  ],
  [
    { kind: 'superseded', partitions: [partition], topics: [] },
    "is not committed: the table's next offset of crawl/0 is 1000, not 500 as planned. No table version names its files; the rest is planned again.",
  ],
  [
    { kind: 'superseded', partitions: [partition, { ...partition, kafkaPartition: 1 }], topics: ['crawl'] },
    "the table's next offset of crawl/0 is 1000, not 500 as planned, and likewise for 1 more partitions.",
  ],
  [
    { kind: 'superseded', partitions: [{ ...partition, startingOffset: undefined }], topics: [] },
    "the table's next offset of crawl/0 is 1000, where none was planned.",
  ],
  [
    { kind: 'superseded', partitions: [], topics: ['crawl'] },
    'the id of topic crawl has changed since it was planned.',
  ],
  [
    { kind: 'superseded', partitions: [], topics: [] },
    'another run has created the table since it was planned.',
  ],
  [{ kind: 'superseded', previousRetry: 7n }, 'others have retried dead letters since it was planned.'],
  [
    { kind: 'replan', inputsGone: ['a', 'b'] },
    'others have removed 2 of the files that it read. No table version names the files that it wrote; it is planned again.',
  ],
  [
    { kind: 'expired', files: [{ path: 'part-1.parquet', problem: 'it is older than the latest vacuum' }] },
    'is not committed: part-1.parquet: it is older than the latest vacuum. Its files are written again.',
  ],
] as const)('outcome %$', (outcome, text) => {
  expect(describeLostRace(outcome as unknown as Parameters<typeof describeLostRace>[0])).toContain(text);
});
