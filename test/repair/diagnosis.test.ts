/**
 * Goal: who gives up a topic that is gone is told when the pipeline file still names it. Method: the
 * diagnosis of a table that has offsets of the topic, beside a Kafka that lacks it.
 */
import { expect, it } from 'vitest';
import type { Snapshot } from '../../src/delta/snapshot.ts';
import { diagnoseTopics } from '../../src/repair/diagnosis.ts';
import { parse, VALID } from '../pipeline/parse.ts';

it.each([
  ['subscribe: [orders, items]', 'Remove it from source.subscribe too'],
  ['assign: { orders: [0], items: [0] }', 'Remove it from source.assign too'],
  ['subscribePattern: "orders|items"', undefined],
])('%s', (topics, advice) => {
  const specification = parse(VALID.replace('subscribe: [orders]', topics));
  const txns = new Map([
    ['tidemark/items/0', 5n],
    ['tidemark/orders/0', 7n],
  ]);
  const snapshot = { tableVersion: 3, txns } as unknown as Snapshot;
  const orders = { kafkaPartition: 0, logStartOffset: 0n, lastStableOffset: 7n, highWatermark: 7n };
  const found = diagnoseTopics(snapshot, specification, [
    { topic: 'orders', identity: undefined, compacted: false, partitions: [orders] },
  ]);
  expect(found.map(({ topic }) => topic)).toEqual(['items']);
  const [answer] = found[0]?.answers ?? [];
  expect(answer?.command).toBe('tidemark repair products accept-topic items --deleted');
  if (advice === undefined) expect(answer?.effect).toBe('its partitions are withdrawn, its rows stay');
  else expect(answer?.effect).toContain(advice);
});
