/**
 * Promise: an attempt that froze, was given up and wakes after others have gone on changes nothing, and the
 * worker's log says so. Method: one worker has a commit in hand for each table below, held just before or
 * just after `link(2)`, and gets SIGSTOP. Others take over by heartbeat timeout, or the table goes through
 * something else meanwhile. Then SIGCONT. The log of each table must be what it was, and delta-rs must find
 * every offset of an independent consumer once, also after one more drain.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { waitUntil } from '../setup/harness.ts';
import { freeze, holdPuts, temporalLine } from '../setup/holds.ts';
import { it } from '../setup/place.ts';
import { type CaseFigures, keepFigures, readers, report, sized } from './proof.ts';
import { type Zombie, ZombieTable } from './zombie-table.ts';

const RECORDS = sized(400, 4_000);
const LAST_RECORDS = 10;

const ALREADY = /batch \S+ is version \d+ already: another attempt committed it/;

const ZOMBIES: readonly Zombie[] = [
  {
    what: 'frozen just before the put; a retry commits',
    held: { in: 'log', moment: 'before' },
    says: { who: 'woken', text: ALREADY },
  },
  {
    what: 'frozen inside the put, its version is there; a retry finds it',
    held: { in: 'log', moment: 'after' },
    says: { who: 'successor', text: ALREADY },
  },
  {
    what: 'two attempts frozen, one after the other; the third commits',
    held: { in: 'log', moment: 'before' },
    stacked: true,
    says: { who: 'woken', text: ALREADY },
  },
  {
    what: 'frozen at the end of a write task; another writes and commits',
    held: { in: 'task', moment: 'before' },
  },
  {
    what: 'frozen just before the put, its run ended; another run commits',
    held: { in: 'log', moment: 'before' },
    terminated: true,
    meanwhile: (table) => table.drain(),
    says: {
      who: 'woken',
      text: /is not committed: the table's next offset of \S+ is \d+, not \d+ as planned/,
    },
  },
  {
    what: 'frozen just before the put; a retry commits, the topic is made again, accepted and drained',
    held: { in: 'log', moment: 'before' },
    meanwhile: (table) => table.makeTopicAnew(),
    says: { who: 'woken', text: /failed, attempt 1: .*the table's epoch is 1, the plan's was 0/ },
  },
  {
    what: 'frozen just before the put, its run ended; a vacuum takes its files',
    held: { in: 'log', moment: 'before' },
    terminated: true,
    meanwhile: (table) => table.vacuum(),
    says: {
      who: 'woken',
      text: /is not committed: \S+: it (does not exist|is older than the latest vacuum)/,
    },
  },
  {
    what: 'frozen just before the put; a retry commits, its version is cleaned out of the log',
    held: { in: 'log', moment: 'before' },
    keepLog: '1s',
    meanwhile: (table) => table.cleanLog(),
    leavesStray: true,
    says: { who: 'woken', text: ALREADY },
  },
  {
    what: 'a compaction, frozen just before the put; a retry commits',
    held: { in: 'log', moment: 'before' },
    run: 'compact',
    says: { who: 'woken', text: ALREADY },
  },
  {
    what: 'a compaction, frozen just before the put, its run ended; another one commits',
    held: { in: 'log', moment: 'before' },
    run: 'compact',
    terminated: true,
    meanwhile: (table) => table.compact(),
    says: { who: 'woken', text: /is not committed: others have removed \d+ of the files that it read/ },
  },
  {
    what: 'a publication of dead letters, frozen just before the put; a retry publishes',
    held: { in: 'letters', moment: 'before' },
  },
];

it('an attempt that wakes too late changes nothing', { timeout: sized(600_000, 1_200_000) }, async ({
  own,
  skip,
}) => {
  const python = await readers();
  if (python === undefined) return skip();
  const client = await own.temporal();
  const tables: ZombieTable[] = [];
  for (const zombie of ZOMBIES) tables.push(await ZombieTable.create(zombie, { own, client, python }));
  const stacked = tables.filter(({ zombie }) => zombie.stacked);

  const first = await holdPuts(tables.map(({ held }) => held));
  const firstLine = await temporalLine();
  const woken = await own.worker({ ...first.hook, TEMPORAL_ADDRESS: firstLine.address }, [
    '--heavy-tasks',
    '4',
  ]);
  for (const part of [0.25, 0.25]) {
    await Promise.all(tables.map((table) => table.produce(RECORDS * part)));
    await Promise.all(tables.map((table) => table.drain()));
  }
  await Promise.all(
    tables.filter(({ zombie }) => zombie.run === undefined).map((table) => table.produce(RECORDS / 2)),
  );
  for (const hold of first.holds) hold.arm();
  for (const table of tables) await table.startRun();
  await waitUntil(() => first.holds.every((hold) => hold.isHeld()));
  await freeze(woken.pid);
  firstLine.cut();
  const frozenAtMs = Date.now();
  report(`a worker frozen with ${tables.length} attempts in hand`);
  for (const table of tables) if (table.zombie.terminated) await table.terminateRun();

  const second = await holdPuts(stacked.map(({ held }) => held));
  const secondLine = await temporalLine();
  for (const hold of second.holds) hold.arm();
  const successor = await own.worker({ ...second.hook, TEMPORAL_ADDRESS: secondLine.address });
  await Promise.all(
    tables.filter(({ zombie }) => !zombie.stacked && !zombie.terminated).map((table) => table.runEnds()),
  );
  report(`its runs were finished by another one ${((Date.now() - frozenAtMs) / 1000).toFixed(1)} s later`);
  await waitUntil(() => second.holds.every((hold) => hold.isHeld()));
  await freeze(successor.pid);
  secondLine.cut();
  await own.worker();
  await Promise.all(stacked.map((table) => table.runEnds()));
  await Promise.all(tables.map((table) => table.zombie.meanwhile?.(table)));

  const before = tables.map((table) => table.versions());
  const taskFiles = tables.map((table) => table.taskFiles());
  for (const hold of [...first.holds, ...second.holds]) hold.release();
  for (const { pid } of [woken, successor]) process.kill(pid, 'SIGCONT');
  for (const [index, table] of tables.entries())
    await waitUntil(() => table.hasWoken(woken.output(), taskFiles[index] ?? []));
  await sleep(2_000);
  for (const [index, table] of tables.entries()) {
    const [then, now] = [before[index] ?? [], table.versions()];
    // Behind a gap, where nobody takes it for a version.
    const strays = now.filter((version) => !then.includes(version));
    expect(strays).toHaveLength(table.zombie.leavesStray ? 1 : 0);
    expect(now).toEqual([...strays, ...then]);
  }

  await Promise.all(tables.map((table) => table.produce(LAST_RECORDS)));
  await Promise.all(tables.map((table) => table.drain()));
  const logs = { woken: woken.output(), successor: successor.output() };
  const figures: CaseFigures[] = [];
  for (const table of tables) figures.push(await table.check(logs));
  keepFigures('zombies', figures);
});
