import type { Value } from '../duckdb/database.ts';
import type { QueryResult } from '../duckdb/query-table.ts';
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

async function query(context: Context, pipeline: string, sql: string): Promise<void> {
  const specification = await context.loadPipeline(pipeline);
  const { queryPipeline } = await import('../inspect/query.ts');
  const { output } = context;
  await queryPipeline(specification, context, sql, async (result) => {
    if (output.format === 'text') await printTable(result, output);
    else await output.stream(objects(result));
  });
}

async function printTable({ columns, rows }: QueryResult, output: Output): Promise<void> {
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
async function* objects({ columns, rows }: QueryResult): AsyncGenerator<Readonly<Record<string, Value>>> {
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
