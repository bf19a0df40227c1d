import type { Value } from '../duckdb/database.ts';
import { formatCount } from '../format.ts';
import type { Context, Verb } from '../terminal/context.ts';
import { type Output, printable, table } from '../terminal/output.ts';

/** Rows that a table for people shows at most; `-o jsonl` prints all without holding them. */
const TEXT_ROWS_MAX = 10_000;

export const { register }: Verb = {
  register(command, context) {
    command
      .argument('<pipeline>', 'name of the pipeline, and of the view in the SQL')
      .argument('<sql>', "one SELECT in DuckDB's dialect")
      .addHelpText('after', `\nExample: tidemark query products 'SELECT count(*) FROM products'`)
      .action((pipeline: string, sql: string) => query(context, pipeline, sql));
  },
};

/** Runs SQL over the live files of the newest version; it can read these files and nothing else. */
async function query(context: Context, pipeline: string, sql: string): Promise<void> {
  const { openTable, requireSnapshot, sortedFiles } = await import('../runs/open-table.ts');
  const { localCopies } = await import('../storage/local-copies.ts');
  const { fromDeltaSchemaString } = await import('../records/delta-schema.ts');
  const { queryTable } = await import('../duckdb/query-table.ts');
  const specification = await context.loadPipeline(pipeline);
  const opened = openTable(specification, context.openStore);
  const snapshot = await requireSnapshot(opened, specification);
  const files = sortedFiles(snapshot);
  await using copies = await localCopies(
    opened.store,
    files.map(([path]) => path),
  );
  const result = await queryTable({
    view: pipeline,
    schema: fromDeltaSchemaString(snapshot.metaData.schemaString),
    partitionColumns: snapshot.metaData.partitionColumns,
    files: files.map(([path, { partitionValues }]) => ({ file: copies.fileOf(path), partitionValues })),
    sql,
  });
  try {
    if (context.output.format === 'text') await printTable(result, context.output);
    else await context.output.stream(objects(result));
  } finally {
    result.close();
  }
}

type Result = Awaited<ReturnType<typeof import('../duckdb/query-table.ts').queryTable>>;

async function printTable({ columns, rows }: Result, output: Output): Promise<void> {
  const shown: string[][] = [];
  let isCut = false;
  for await (const row of rows) {
    isCut = shown.length === TEXT_ROWS_MAX;
    if (isCut) break;
    shown.push(row.map(cell));
  }
  const names = columns.map(({ name }) => printable(name));
  const numbers = columns.flatMap(({ type }, at) => (/INT|DOUBLE|FLOAT|DECIMAL/.test(type) ? [at] : []));
  output.result(shown, () => table(names, shown, numbers));
  output.note(
    isCut
      ? `The first ${formatCount(shown.length)} rows; -o jsonl prints all.`
      : `${formatCount(shown.length)} ${shown.length === 1 ? 'row' : 'rows'}`,
  );
}

/** A row as an object; of columns with the same name the second is called `name_1`. */
async function* objects({ columns, rows }: Result): AsyncGenerator<Readonly<Record<string, Value>>> {
  const names: string[] = [];
  for (const { name } of columns) {
    let unique = name;
    for (let count = 1; names.includes(unique); count++) unique = `${name}_${count}`;
    names.push(unique);
  }
  for await (const row of rows) yield Object.fromEntries(names.map((name, at) => [name, row[at] ?? null]));
}

function cell(value: Value): string {
  if (value === null) return 'NULL';
  if (typeof value !== 'object') return printable(String(value));
  return printable(
    JSON.stringify(value, (_, part: unknown) => (typeof part === 'bigint' ? String(part) : part)),
  );
}
