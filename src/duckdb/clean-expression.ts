import type { Database } from './database.ts';
import { quoteString } from './table-sql.ts';

/**
 * Decides which expressions say the same of a row today, tomorrow and in a retry, from DuckDB's own parse of
 * them: of functions those that DuckDB declares consistent, of everything else a list of what is allowed.
 */

/** What `json_serialize_sql` gives: plain JSON, of which each expression has a `class`. */
type ParseNode = Readonly<Record<string, unknown>>;

/** Expressions about their operands alone. */
const PLAIN = ['CONSTANT', 'CAST', 'CASE', 'COMPARISON', 'CONJUNCTION', 'BETWEEN', 'OPERATOR', 'COLLATE'];

const REFUSED: Readonly<Record<string, string>> = {
  WINDOW: 'a window reads other rows',
  SUBQUERY: 'a subquery reads other rows',
  STAR: 'name single columns instead of *',
  PARAMETER: 'there are no parameters',
  DEFAULT: 'there are no defaults',
  POSITIONAL_REFERENCE: 'name columns instead of counting them',
};

/** Called consistent by DuckDB, and yet about the session, the clock or the build. */
const NOT_ABOUT_THE_ROW = [
  'current_localtime',
  'current_localtimestamp',
  'current_setting',
  'getvariable',
  'json_deserialize_sql',
  'json_serialize_plan',
  'json_serialize_sql',
  'parse_duckdb_log_message',
  'version',
];

/** SQL writes these without brackets, like columns. */
const VALUE_WORDS = [
  'current_catalog',
  'current_date',
  'current_role',
  'current_schema',
  'current_time',
  'current_timestamp',
  'current_user',
  'localtime',
  'localtimestamp',
  'session_user',
  'user',
];

interface FunctionEntry {
  readonly type: string;
  readonly stability: string | undefined;
  readonly macro: { readonly definition: string; readonly parameters: readonly string[] } | undefined;
}

export class ExpressionRules {
  private readonly database: Database;
  private readonly functions: ReadonlyMap<string, readonly FunctionEntry[]>;
  /** The parse of an expression that is one, but for the expression. */
  private readonly frame: string;

  private constructor(
    database: Database,
    functions: ReadonlyMap<string, readonly FunctionEntry[]>,
    frame: string,
  ) {
    this.database = database;
    this.functions = functions;
    this.frame = frame;
  }

  static async load(database: Database): Promise<ExpressionRules> {
    const functions = new Map<string, FunctionEntry[]>();
    const rows = await database.all(
      `SELECT lower(function_name), function_type, stability, macro_definition, parameters
       FROM duckdb_functions() ORDER BY function_oid`,
    );
    for (const [name, type, stability, definition, parameters] of rows) {
      const entries = functions.get(String(name)) ?? [];
      const macro =
        typeof definition === 'string' && Array.isArray(parameters)
          ? { definition, parameters: parameters.map((one) => String(one).toLowerCase()) }
          : undefined;
      entries.push({ type: String(type), stability: stability?.toString(), macro });
      functions.set(String(name), entries);
    }
    const { frame } = framed(await serialize(database, '1'));
    return new ExpressionRules(database, functions, frame);
  }

  /**
   * Why `expression` cannot be used for rows with `columns`; undefined where it can.
   *
   * @param columns lower-case names
   */
  async problem(expression: string, columns: ReadonlySet<string>): Promise<string | undefined> {
    const parsed = await serialize(this.database, expression);
    if (parsed.error === true) return String(parsed.error_message);
    const { frame, node } = framed(parsed);
    if (node === undefined || frame !== this.frame) return 'it must be one expression';
    return await this.problemOf(node, columns);
  }

  private async problemOf(node: unknown, columns: ReadonlySet<string>): Promise<string | undefined> {
    if (typeof node !== 'object' || node === null) return undefined;
    const { class: kind } = node as ParseNode;
    if (kind === 'COLUMN_REF') return this.columnProblem(node as ParseNode, columns);
    if (kind === 'LAMBDA') return await this.lambdaProblem(node as ParseNode, columns);
    if (kind === 'FUNCTION') {
      const problem = await this.functionProblem(node as ParseNode, columns);
      if (problem) return problem;
    } else if (typeof kind === 'string' && !PLAIN.includes(kind)) {
      return REFUSED[kind] ?? `${kind} is not allowed`;
    }
    for (const inner of Object.values(node)) {
      const problem = await this.problemOf(inner, columns);
      if (problem) return problem;
    }
    return undefined;
  }

  /** `seller.name`: the first name is the column's. */
  private columnProblem(node: ParseNode, columns: ReadonlySet<string>): string | undefined {
    const name = firstName(node);
    if (columns.has(name)) return undefined;
    if (VALUE_WORDS.includes(name)) return `${name} ${DEPENDS}`;
    return `there is no column ${name}`;
  }

  /** `x -> ...`, where x may also be a column: DuckDB writes JSON's arrow so. */
  private async lambdaProblem(
    { lhs, expr }: ParseNode,
    columns: ReadonlySet<string>,
  ): Promise<string | undefined> {
    const parameters = parametersOf(lhs);
    const word = parameters.find((name) => VALUE_WORDS.includes(name));
    if (parameters.length === 0) return 'a lambda needs names for its parameters';
    if (word) return `${word} ${DEPENDS}`;
    return await this.problemOf(expr, new Set([...columns, ...parameters]));
  }

  private async functionProblem(node: ParseNode, columns: ReadonlySet<string>): Promise<string | undefined> {
    const name = String(node.function_name).toLowerCase();
    // `column.lower()` is a function of the column, whose name then stands as the schema's.
    const receiver = String(node.catalog || node.schema).toLowerCase();
    if (receiver !== '' && receiver !== 'main' && receiver !== 'system' && !columns.has(receiver)) {
      return VALUE_WORDS.includes(receiver) ? `${receiver} ${DEPENDS}` : `there is no column ${receiver}`;
    }
    const entries = this.functions.get(name) ?? [];
    const usable = entries.filter(({ type }) => ['scalar', 'macro', 'aggregate'].includes(type));
    if (usable.length === 0) return entries.length > 0 || name === 'unnest' ? rows(name) : unknown(name);
    if (usable.some(({ type }) => type === 'aggregate')) return `${name}() is an aggregate over many rows`;
    if (usable.some(({ type, stability }) => type === 'scalar' && stability !== 'CONSISTENT'))
      return `${name}() ${DEPENDS}`;
    if (NOT_ABOUT_THE_ROW.includes(name) || isAgeUntilToday(name, node) || samples(name, node))
      return `${name}() ${DEPENDS}`;
    for (const { macro } of usable) {
      if (macro === undefined) continue;
      const problem = await this.problem(macro.definition, new Set(macro.parameters));
      if (problem) return `${name}() ${DEPENDS}: ${problem}`;
    }
    return undefined;
  }
}

const DEPENDS = 'does not depend on the row alone';
const rows = (name: string) => `${name}() gives several rows`;
const unknown = (name: string) => `there is no function ${name}()`;

/** Of one argument `age` counts until today. */
function isAgeUntilToday(name: string, { children }: ParseNode): boolean {
  return name === 'age' && Array.isArray(children) && children.length < 2;
}

/** `list_aggregate(l, 'reservoir_quantile', ...)`: the one aggregate over lists that draws at random. */
function samples(name: string, { children }: ParseNode): boolean {
  if (!/^(list|array)_aggr(egate)?$|^aggregate$/.test(name) || !Array.isArray(children)) return false;
  const { class: kind, value } = (children[1] ?? {}) as ParseNode;
  const aggregate = kind === 'CONSTANT' ? (value as ParseNode).value : undefined;
  return typeof aggregate !== 'string' || aggregate.toLowerCase() === 'reservoir_quantile';
}

function parametersOf(lhs: unknown): string[] {
  const { class: kind, children } = (lhs ?? {}) as ParseNode;
  if (kind === 'COLUMN_REF') return [firstName(lhs as ParseNode)];
  return kind === 'FUNCTION' && Array.isArray(children) ? children.flatMap(parametersOf) : [];
}

function firstName({ column_names: names }: ParseNode): string {
  return Array.isArray(names) ? String(names[0]).toLowerCase() : '';
}

async function serialize(database: Database, expression: string): Promise<ParseNode> {
  const sql = quoteString(`SELECT (\n${expression}\n) FROM tidemark_row`);
  const [row] = await database.all(`SELECT json_serialize_sql(${sql})::VARCHAR`);
  return JSON.parse(String(row?.[0]), (key, value) => (key === 'query_location' ? undefined : value));
}

/** The expression, and all around it: whatever gets out of its brackets shows there. */
function framed(parsed: ParseNode): { readonly frame: string; readonly node: unknown } {
  const copy = structuredClone(parsed) as { statements?: { node?: { select_list?: unknown[] } }[] };
  const select = copy.statements?.[0]?.node;
  const list = select?.select_list ?? [];
  if (select) select.select_list = [];
  return { frame: JSON.stringify(copy), node: list.length === 1 ? list[0] : undefined };
}
