/**
 * A service that needs its records in the table before it goes on: it produces them, drains up to exactly what it
 * produced, and reads its rows back. `npm start [RECORDS]`; KAFKA_BROKERS, TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE name the servers.
 */
import { randomUUID } from 'node:crypto';
import { Client, Connection } from '@temporalio/client';
import { Failure, Tidemark } from 'tidemark';
import { produce } from './produce.ts';
import { readRows } from './read-rows.ts';

const PIPELINE = 'orders'; // pipelines/orders.yaml, which the worker reads
const TOPIC = 'orders';

const count = Number(process.argv[2] ?? 1_000);
const orders = Array.from({ length: count }, (_, n) => ({ id: randomUUID(), cents: n }));

const connection = await Connection.connect({ address: process.env.TEMPORAL_ADDRESS ?? 'localhost:7233' });
const namespace = process.env.TEMPORAL_NAMESPACE ?? 'default';
const tidemark = new Tidemark(new Client({ connection, namespace }));

try {
  const produced = await produce(TOPIC, orders);
  const receipt = await tidemark.drain(PIPELINE, { offsets: { [TOPIC]: produced.ends } });
  if (receipt.outcome !== 'complete') throw new Error(`Not all orders are in the table: ${receipt.reason}`);

  const rows = await readRows(PIPELINE, TOPIC, produced);
  const found = new Set(rows.map(({ id }) => id));
  const missing = orders.filter(({ id }) => !found.has(id)).length;
  console.log(JSON.stringify({ produced, tableVersion: receipt.tableVersion, rows: rows.length, missing }));
  process.exitCode = missing === 0 ? 0 : 1;
} catch (error) {
  // What Tidemark has a name for: the code is for programs, the rest for people.
  if (!(error instanceof Failure)) throw error;
  console.error(`${error.code}: ${error.message}\n${error.fix}`);
  process.exitCode = error.exitCode;
} finally {
  await connection.close();
}
