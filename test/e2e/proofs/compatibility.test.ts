/**
 * Promise: every reader of Delta tables reads in ours what was meant, at any moment of their lives, whatever
 * it filters by.
 *
 * Method: three tables, with every type in every nesting: hand-made rows at the borders of types and of
 * statistics, random rows under typed partition values, and one that lives through all that a pipeline does.
 * Each reader's rows are compared with the rows that the test meant, and its filters, at the borders of every
 * file, with the same conditions over all rows. What is seen at full size is `docs/compatibility.md`.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { expect, it } from 'vitest';
import type { ReadersEnvironment } from '../../readers/environment.ts';
import { borderTable, randomTable } from '../../readers/made-tables.ts';
import { type Cell, type MatrixTable, readMatrix } from '../../readers/matrix.ts';
import { temporaryFolder } from '../setup/harness.ts';
import { TableLife } from '../setup/table-life.ts';
import { matrixText, problemsOf } from './compatibility-page.ts';
import { isFullSize, readers, report, seedOfRun, sized } from './proof.ts';

const PAGE = resolve(import.meta.dirname, '../../../docs/compatibility.md');
const FILTERS = sized({ spark: 4, tidemark: 40, others: 30 }, { spark: 60, tidemark: 100, others: 1_000 });
const RANDOM_ROWS = sized(40, 400);

it('every reader reads what was meant', { timeout: sized(900_000, 3_600_000) }, async ({ skip }) => {
  const python = await readers();
  if (python === undefined) return skip();
  const folder = await temporaryFolder();
  const seed = seedOfRun();

  const tables: MatrixTable[] = [
    { name: 'borders', ...(await borderTable(join(folder, 'borders'))) },
    { name: 'random', ...(await randomTable(join(folder, 'random'), RANDOM_ROWS, seed)) },
    ...(await live(folder, seed, python)),
  ];
  const cells = await readMatrix(python, folder, tables, FILTERS, (cell) => report(lineOf(cell)));
  const table = matrixText(cells);
  report(table);
  expect(problemsOf(cells)).toEqual([]);
  if (!isFullSize) return;
  const page = await readFile(PAGE, 'utf8');
  await writeFile(
    PAGE,
    page.replace(/(<!-- matrix -->\n)[\s\S]*?(\n<!-- \/matrix -->)/, (_, from, to) => `${from}${table}${to}`),
  );
});

/** At `npm test` only the last stages, which have all that came before in them. */
async function live(
  folder: string,
  seed: number,
  { python }: ReadersEnvironment,
): Promise<readonly MatrixTable[]> {
  const life = new TableLife(folder, seed);
  await life.begin();
  await life.drain(11);
  await life.keep('drained');
  await life.become(1);
  await life.drain(5);
  await life.become(2);
  await life.drain(5);
  await life.keep('evolved');
  await life.retry();
  await life.keep('retried');
  await life.compact(0);
  await life.keep('compacted');
  await life.vacuum();
  await life.keepLetters();
  await life.keep('cleaned');
  await life.drain(1);
  life.shareWithDeltaRs(python);
  await life.drain(1);
  // delta-rs writes moments without the Z that says UTC: as partition values others, since readers may take
  // them for local time.
  await life.compact(2);
  await life.keep('shared');
  return isFullSize ? life.stages : life.stages.slice(-3);
}

function lineOf({
  table,
  reader,
  version,
  count,
  checksum,
  filters,
  hidden,
  differing,
  failure,
  seconds,
}: Cell) {
  if (failure !== undefined) return `${table}, ${reader}: ${failure.split('\n')[0]}`;
  const found = `${count} rows${checksum ? `, checksum ${checksum.slice(0, 16)}` : ''}, ${filters} filters`;
  const [lost, other] = [hidden?.length, differing?.length ?? 0];
  return `${table}, ${reader} ${version ?? ''}: ${found}, ${lost} lose rows, ${other} mean something else, ${seconds} s`;
}
