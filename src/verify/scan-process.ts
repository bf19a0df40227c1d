import { Database, type Value } from '../duckdb/database.ts';
import type { ScanAnswer, ScanRequest } from './scan.ts';

/** The process behind `Scan`: answers one request after the other until its parent is gone. */

const ROWS_PER_ANSWER = 1_000;

let database: Database | undefined;
let selected: AsyncIterator<readonly Value[]> | undefined;

process.on('message', (request: ScanRequest) => {
  void answer(request).then(
    (message) => process.send?.(message),
    (error) => process.send?.({ kind: 'failed', message: describe(error) } satisfies ScanAnswer),
  );
});
// A normal exit would wait for the running statement.
process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'));

async function answer(request: ScanRequest): Promise<ScanAnswer> {
  if (request.kind === 'open') {
    const { copiesFolder, ...settings } = request.settings;
    database = await Database.open({ ...settings, readableFolders: [copiesFolder], keepMetadata: false });
    await database.run(
      'CREATE TABLE words (topic INTEGER, kafka_partition INTEGER, word BIGINT, bits UBIGINT, count BIGINT)',
    );
    return { kind: 'done' };
  }
  if (request.kind === 'next') return await nextRows();
  if (database === undefined) throw new Error('no database is open');
  if (request.kind === 'columns')
    return { kind: 'columns', columns: await database.storedColumns(request.sql) };
  if (request.kind === 'run') {
    await database.run(request.sql);
    return { kind: 'done' };
  }
  selected = (await database.select(request.sql)).rows[Symbol.asyncIterator]();
  return await nextRows();
}

async function nextRows(): Promise<ScanAnswer> {
  const rows: (readonly Value[])[] = [];
  while (selected !== undefined && rows.length < ROWS_PER_ANSWER) {
    const next = await selected.next();
    if (next.done === true) selected = undefined;
    else rows.push(next.value);
  }
  return { kind: 'rows', rows };
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
