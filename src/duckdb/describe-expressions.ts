import { Failure } from '../errors.ts';
import type { Schema } from '../records/ddl.ts';
import type { CleanSpecification } from '../records/records-specification.ts';
import { ExpressionRules } from './clean-expression.ts';
import { ddlOf } from './clean-types.ts';
import type { Database } from './database.ts';
import { quoteIdentifier, sqlType } from './table-sql.ts';

/**
 * The DDL type of every column of `clean` over rows of `rowSchema`, in their order.
 *
 * @throws Failure CLEAN_INVALID with every expression that is wrong, or not about its row alone
 */
export async function describeExpressions(
  database: Database,
  clean: CleanSpecification,
  rowSchema: Schema,
): Promise<string[]> {
  const columns = rowSchema.fields.map(({ name, type }) => `${quoteIdentifier(name)} ${sqlType(type)}`);
  await database.run(`CREATE OR REPLACE TABLE tidemark_row (${columns.join(', ')})`);
  const rules = await ExpressionRules.load(database);
  const names = new Set(rowSchema.fields.map(({ name }) => name.toLowerCase()));
  const problems: string[] = [];
  const typeOf = async (option: string, text: string) => {
    const found = await describe(database, rules, text, names);
    if ('problem' in found) problems.push(`${option}: ${found.problem}\n${shown(text)}`);
    return found;
  };
  if (clean.where !== undefined) {
    const found = await typeOf('records.clean.where', clean.where);
    if ('type' in found && found.type !== 'BOOLEAN')
      problems.push(
        `records.clean.where: it must be true or false, not ${found.type}\n${shown(clean.where)}`,
      );
  }
  const types: string[] = [];
  for (const { name, expression } of clean.columns) {
    const found = await typeOf(`records.clean.columns.${name}`, expression);
    types.push('type' in found ? found.type : '');
  }
  if (problems.length === 0) return types;
  throw new Failure('CLEAN_INVALID', problems.join('\n'), FIX);
}

const FIX =
  "Expressions are DuckDB's SQL over the columns of one row, as it is before clean. Correct them, then check with `tidemark validate`.";

function shown(expression: string): string {
  return expression.replaceAll(/^/gm, '    ');
}

type Described = { readonly type: string } | { readonly problem: string };

async function describe(
  database: Database,
  rules: ExpressionRules,
  text: string,
  columns: ReadonlySet<string>,
): Promise<Described> {
  const problem = await rules.problem(text, columns);
  if (problem) return { problem };
  try {
    const ddl = ddlOf(await database.typeOf(`SELECT (\n${text}\n) AS value FROM tidemark_row`));
    if (ddl.kind === 'type') return { type: ddl.ddl };
    return { problem: `tables have no ${ddl.type}: write CAST(... AS ${ddl.castTo})` };
  } catch (error) {
    return { problem: String(error instanceof Error ? error.message : error).split('\n')[0] ?? '' };
  }
}
