/**
 * Goal: rows that retention has dropped are neither missing nor others' doing, and explain no other loss.
 * Method: real tables partitioned by day, with a day dropped, and with what may go wrong beside that.
 */
import { copyFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { records, World } from './world.ts';

const TIMEOUT = { timeout: 120_000 };
const BY_DAY = ', partitionBy: ["day(at)"]';
const SCHEMA = 'schema: "n BIGINT, text STRING, at TIMESTAMP, price DOUBLE"';
/** `records(…, DAY_LATER)` are of 2026-09-22, `records(…)` of the day before. */
const DAY_LATER = 90_000;
const FIRST_DAY_OVER = '2026-09-22T00:00:00Z';

async function dayDropped(): Promise<World> {
  const world = new World(SCHEMA, BY_DAY);
  await world.drain([...records(30), ...records(10, DAY_LATER)]);
  await world.drain(records(20, DAY_LATER), 1);
  await world.retain(FIRST_DAY_OVER);
  return world;
}

test('what retention has dropped is named as that', TIMEOUT, async () => {
  using world = await dayDropped();
  const dropped = { tableVersion: 2, by: 'retention', operation: 'retain', rowsRemoved: 30, rowsAdded: 0 };
  expect(await world.verify()).toMatchObject({
    ...{ outcome: 'agrees', found: [], others: [], retention: [dropped] },
    rows: { rows: 30, located: 30, retained: 30, takenOut: 0, strays: 0 },
  });
  // What comes late for that day is there, until it is dropped as well.
  await world.drain(records(5, 200));
  expect(await world.verify()).toMatchObject({ outcome: 'agrees', rows: { rows: 35, retained: 30 } });
  await world.retain(FIRST_DAY_OVER);
  expect(await world.verify()).toMatchObject({
    outcome: 'agrees',
    retention: [dropped, { tableVersion: 4, rowsRemoved: 5 }],
    rows: { rows: 30, retained: 35 },
  });
});

test("beside others' deletes each has its own number", TIMEOUT, async () => {
  using world = await dayDropped();
  const files = [...(await world.snapshot()).files.values()];
  const second = files.find(({ stats }) => JSON.parse(stats ?? '{}').numRecords === 20);
  await world.commitForeign([{ remove: { path: second?.path ?? '', dataChange: true } }], {
    operation: 'DELETE',
  });
  expect(await world.verify()).toMatchObject({
    outcome: 'agrees',
    others: [{ tableVersion: 3, by: 'others', operation: 'DELETE', rowsRemoved: 20 }],
    retention: [{ tableVersion: 2 }],
    rows: { rows: 10, retained: 30, takenOut: 20 },
  });
});

test('a row that is lost beside it is missing', TIMEOUT, async () => {
  using world = await dayDropped();
  const left = await world.write(records(19, DAY_LATER), 0, {
    ...{ topic: 't', kafkaPartition: 1, batchId: 'd', epoch: 0n },
  });
  const files = [...(await world.snapshot()).files];
  const [path, add] = files.find(([, { stats }]) => JSON.parse(stats ?? '{}').numRecords === 20) ?? [
    '',
    null,
  ];
  const [smaller] = left.files;
  copyFileSync(world.store.address(smaller?.path ?? ''), world.store.address(path));
  world.alter(1, (line) => line.replace(`"size":${add?.size}`, `"size":${smaller?.sizeBytes}`));
  const { found, outcome } = await world.verify();
  expect(outcome).toBe('disagrees');
  expect(found).toContainEqual(
    expect.objectContaining({
      check: 'missingRows',
      kafkaPartition: 1,
      problem: expect.stringMatching(/31 are missing, and retention has dropped 30/),
    }),
  );
  expect(found).toContainEqual(expect.objectContaining({ check: 'rowBalance' }));
});

test('a version that drops other files than it says is told of', TIMEOUT, async () => {
  using world = await dayDropped();
  world.alter(2, (line) => line.replace('"rows":30', '"rows":29'));
  expect(await world.verify(true)).toMatchObject({ found: [{ check: 'totals', tableVersion: 2 }] });
  world.alter(2, (line) => line.replace('"rows":29', '"rows":30').replace('"files":1', '"files":2'));
  expect(await world.verify(true)).toMatchObject({ found: [{ check: 'totals', tableVersion: 2 }] });
});

test('a RESTORE to before it brings the rows back', TIMEOUT, async () => {
  using world = await dayDropped();
  const { files } = await world.log.snapshotAt(1).then((snapshot) => snapshot ?? Promise.reject());
  const live = (await world.snapshot()).files;
  const back = [...files].filter(([path]) => !live.has(path)).map(([, add]) => ({ add }));
  await world.commitForeign(back, { operation: 'RESTORE', operationParameters: { version: '1' } });
  const { rows, retention, byCheck } = await world.verify();
  expect({ rows, retention, byCheck }).toMatchObject({
    ...{ rows: { rows: 60, retained: 0, takenOut: 0 }, retention: [] },
    byCheck: { restoreUnrepaired: 1 },
  });
});
