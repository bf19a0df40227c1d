/**
 * Promise: of one run that several callers share, each reads in its receipt whether its own ends were
 * reached. Method: one receipt after another through the function that every caller's receipt comes from.
 */
import { expect, it } from 'vitest';
import type { Offsets, Receipt, Until } from '../src/contract.ts';
import { receiptFor } from '../src/receipt-for.ts';

const REASON = 'Kafka had no more records to read beyond these offsets: t-0 at 50 of 60.';

it('is complete for whom every end was reached, whatever the run fell short of for others', () => {
  const receipt = runEndedAt({ 0: [50, 60], 1: [20, 20] }, { outcome: 'partial', reason: REASON });
  expect(read({ offsets: { t: { 0: 50 } } }, { 0: '60' }, receipt)).toEqual(['complete', undefined]);
  expect(read({ offsets: { t: { 1: 20 } } }, {}, receipt)).toEqual(['complete', undefined]);
  expect(read({ offsets: { t: { 0: '60' } } }, { 0: '50' }, receipt)).toEqual(['partial', REASON]);
  expect(read({ offsets: { t: { 0: -1 } } }, { 0: '50' }, receipt)).toEqual(['complete', undefined]);
  expect(read('latest', { 0: '50', 1: '20' }, receipt)).toEqual(['complete', undefined]);
});

it('is partial for whom the end was lowered, and tells it', () => {
  const receipt = runEndedAt({ 0: [50, 50], 1: [20, 20] }, { endsLowered: true });
  const lowered = 'Somebody lowered the end of this run while it was running: t-0 at 50.';
  expect(read('latest', { 0: '80', 1: '20' }, receipt)).toEqual(['partial', lowered]);
  expect(read({ offsets: { t: { 0: -1 } } }, { 0: '80' }, receipt)).toEqual(['partial', lowered]);
  expect(read({ offsets: { t: { 0: 51 } } }, { 0: '80' }, receipt)).toEqual(['partial', lowered]);
  expect(read({ offsets: { t: { 1: 20 } } }, { 0: '80' }, receipt)).toEqual(['complete', undefined]);
});

it('names the lowered end, not what somebody else asked for in vain', () => {
  const receipt = runEndedAt({ 0: [50, 60], 1: [20, 20] }, { outcome: 'partial', reason: REASON });
  const [outcome, reason] = read({ offsets: { t: { 1: 30 } } }, {}, receipt);
  expect([outcome, reason]).toEqual(['partial', expect.stringContaining('lowered')]);
  expect(reason).toContain('t-1 at 20');
});

it('does not say complete of a partition that the receipt does not list where the run fell short of anything', () => {
  const complete = runEndedAt({ 0: [50, 50] }, {});
  const beyond = { offsets: { t: { 0: 50, 200: 7 } } };
  expect(read(beyond, {}, complete)[0]).toBe('complete');
  expect(read(beyond, {}, { ...complete, endsLowered: true })).toEqual([
    'partial',
    expect.stringContaining('does not list'),
  ]);
  expect(read(beyond, {}, { ...complete, outcome: 'partial', reason: REASON })).toEqual(['partial', REASON]);
});

function read(until: Until, ends: Offsets[string], receipt: Receipt) {
  const { outcome, reason } = receiptFor({ until, endingOffsets: { t: ends } }, receipt);
  return [outcome, reason];
}

/** @param ends per partition of topic t where the run ended, and what it was asked for in the end */
function runEndedAt(
  ends: Record<number, [reached: number, requested: number]>,
  extra: Partial<Receipt>,
): Receipt {
  const partitions = Object.entries(ends).map(([kafkaPartition, [reached, requested]]) => ({
    topic: 't',
    kafkaPartition: Number(kafkaPartition),
    endingOffset: String(reached),
    requestedOffset: String(requested),
  }));
  return { outcome: 'complete', partitions, ...extra } as unknown as Receipt;
}
