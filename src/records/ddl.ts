/** The table's schema as Spark's DDL writes it: `id STRING NOT NULL, tags ARRAY<STRING>`. */
export interface Schema {
  readonly fields: readonly Field[];
}

export interface Field {
  readonly name: string;
  readonly type: DataType;
  readonly nullable: boolean;
  readonly comment?: string;
}

export type DataType = PrimitiveType | DecimalType | ArrayType | MapType | StructType;

/** Names as in Delta's schema JSON. */
export type PrimitiveName =
  | 'string'
  | 'binary'
  | 'long'
  | 'integer'
  | 'short'
  | 'byte'
  | 'double'
  | 'float'
  | 'boolean'
  | 'date'
  | 'timestamp';

export interface PrimitiveType {
  readonly kind: 'primitive';
  readonly name: PrimitiveName;
}

/** Exact: `precision` decimal digits (1 to 38), `scale` of them (0 to `precision`) after the point. */
export interface DecimalType {
  readonly kind: 'decimal';
  readonly precision: number;
  readonly scale: number;
}

export interface ArrayType {
  readonly kind: 'array';
  readonly element: DataType;
  readonly containsNull: boolean;
}

/** From JSON objects, so that keys are STRING there; a key is never null. */
export interface MapType {
  readonly kind: 'map';
  readonly key: DataType;
  readonly value: DataType;
  readonly valueContainsNull: boolean;
}

export interface StructType {
  readonly kind: 'struct';
  readonly fields: readonly Field[];
}

/**
 * ARRAYs, MAPs and STRUCTs around a value, at most: an array or map adds two definition levels, and a level
 * is one byte here.
 */
export const MAX_SCHEMA_DEPTH = 64;

/** A problem in a DDL text, and its place. */
export class DdlError extends Error {
  override readonly name = 'DdlError';
  /** The problem without the place: for a caller that knows the place in its own file. */
  readonly problem: string;
  /** Index into the DDL text, in UTF-16 units. */
  readonly position: number;

  constructor(problem: string, text: string, position: number) {
    const before = text.slice(0, position).split('\n');
    super(`${problem} (line ${before.length}, column ${(before.at(-1) ?? '').length + 1} of the schema)`);
    this.problem = problem;
    this.position = position;
  }
}

/**
 * Reads Spark's DDL: `name TYPE [NOT NULL] [COMMENT 'text'], ...`; inside STRUCT<...> `name: TYPE`, the colon
 * optional in both places as in Spark. Types and keywords in any case, names as written, `` `quoted` `` where
 * they are not plain ASCII words. SQL comments (`--`, `/*`) count as white space.
 *
 * Names are unique ignoring case at each level and free of ` ,;{}()\n\t=`: Delta allows those only with
 * column mapping. NOT NULL below an ARRAY or a MAP is refused, since Delta does not allow it there. DECIMAL
 * without digits is DECIMAL(10,0), as in Spark. Keys of a MAP are STRING.
 *
 * @throws DdlError at the first problem
 */
export function parseDdl(text: string): Schema {
  return new DdlParser(text).schema();
}

/**
 * The reverse of `parseDdl`, except that elements and map values that are never null (`ARRAY<INT NOT NULL>`)
 * are only shown.
 */
export function formatDdl(schema: Schema): string {
  return schema.fields.map((field) => formatField(field, ' ')).join(', ');
}

/** The same columns, each nullable, those within structs, arrays and maps included. */
export function nullableSchema(schema: Schema): Schema {
  return { fields: schema.fields.map(nullableField) };
}

function nullableField(field: Field): Field {
  return { ...field, type: nullableType(field.type), nullable: true };
}

function nullableType(type: DataType): DataType {
  if (type.kind === 'array') return { ...type, element: nullableType(type.element), containsNull: true };
  if (type.kind === 'map') return { ...type, value: nullableType(type.value), valueContainsNull: true };
  if (type.kind === 'struct') return { ...type, fields: type.fields.map(nullableField) };
  return type;
}

const SQL_NAMES: Record<PrimitiveName, string> = {
  string: 'STRING',
  binary: 'BINARY',
  short: 'SMALLINT',
  byte: 'TINYINT',
  float: 'FLOAT',
  long: 'BIGINT',
  integer: 'INT',
  double: 'DOUBLE',
  boolean: 'BOOLEAN',
  date: 'DATE',
  timestamp: 'TIMESTAMP',
};

function formatField({ name, type, nullable, comment }: Field, separator: string): string {
  const quoted = PLAIN_NAME.test(name) ? name : `\`${name.replaceAll('`', '``')}\``;
  const notNull = nullable ? '' : ' NOT NULL';
  const commented = comment === undefined ? '' : ` COMMENT '${comment.replace(/['\\]/g, '\\$&')}'`;
  return `${quoted}${separator}${formatType(type)}${notNull}${commented}`;
}

export function formatType(type: DataType): string {
  if (type.kind === 'primitive') return SQL_NAMES[type.name];
  if (type.kind === 'decimal') return `DECIMAL(${type.precision},${type.scale})`;
  if (type.kind === 'map') {
    return `MAP<${formatType(type.key)}, ${formatType(type.value)}${type.valueContainsNull ? '' : ' NOT NULL'}>`;
  }
  if (type.kind === 'array') {
    return `ARRAY<${formatType(type.element)}${type.containsNull ? '' : ' NOT NULL'}>`;
  }
  return `STRUCT<${type.fields.map((field) => formatField(field, ': ')).join(', ')}>`;
}

const PRIMITIVES: ReadonlyMap<string, PrimitiveName> = new Map([
  ['STRING', 'string'],
  ['BIGINT', 'long'],
  ['LONG', 'long'],
  ['INT', 'integer'],
  ['INTEGER', 'integer'],
  ['SMALLINT', 'short'],
  ['SHORT', 'short'],
  ['TINYINT', 'byte'],
  ['BYTE', 'byte'],
  ['DOUBLE', 'double'],
  ['FLOAT', 'float'],
  ['REAL', 'float'],
  ['BINARY', 'binary'],
  ['BOOLEAN', 'boolean'],
  ['DATE', 'date'],
  ['TIMESTAMP', 'timestamp'],
]);

const DECIMALS: ReadonlySet<string> = new Set(['DECIMAL', 'DEC', 'NUMERIC']);
/** Spark's, for DECIMAL without digits. */
const DEFAULT_DECIMAL: DecimalType = { kind: 'decimal', precision: 10, scale: 0 };
export const MAX_DECIMAL_PRECISION = 38;

/** Spark's other types. */
const UNSUPPORTED: ReadonlySet<string> = new Set(
  'CHAR CHARACTER VARCHAR TIMESTAMP_NTZ TIMESTAMP_LTZ TIME INTERVAL VARIANT VOID GEOMETRY GEOGRAPHY'.split(
    ' ',
  ),
);

const PLAIN_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const WORD = /[A-Za-z_][A-Za-z0-9_]*/y;
const DIGITS = /[0-9]+/y;
const SPACE = /(?:\s+|--[^\n]*|\/\*[\s\S]*?\*\/)+/y;
const FORBIDDEN_IN_NAME = /[ ,;{}()\n\t=]/;
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', b: '\b', '0': '\0' };

class DdlParser {
  private readonly text: string;
  private position = 0;
  /** ARRAYs and MAPs around the position, where Delta knows no NOT NULL. */
  private listsAround = 0;

  constructor(text: string) {
    this.text = text;
  }

  schema(): Schema {
    const fields = this.fields(0);
    if (this.position < this.text.length) this.fail(`expected a comma or the end, found ${this.found()}`);
    return { fields };
  }

  private fields(depth: number): readonly Field[] {
    const fields: Field[] = [];
    const names = new Set<string>();
    do {
      this.skipSpace();
      const at = this.position;
      const field = this.field(depth);
      const key = field.name.toLowerCase();
      if (names.has(key)) this.fail(`two columns named ${field.name} (names are compared ignoring case)`, at);
      names.add(key);
      fields.push(field);
    } while (this.take(','));
    return fields;
  }

  private field(depth: number): Field {
    const name = this.name();
    this.take(':');
    const type = this.type(depth);
    const notNullAt = this.position;
    const nullable = !this.takeWord('NOT');
    if (!nullable && !this.takeWord('NULL')) this.fail(`expected NULL after NOT, found ${this.found()}`);
    if (!nullable && this.listsAround > 0)
      this.fail('NOT NULL below an ARRAY or a MAP: Delta does not allow it', notNullAt);
    return this.takeWord('COMMENT')
      ? { name, type, nullable, comment: this.stringLiteral() }
      : { name, type, nullable };
  }

  private name(): string {
    const at = this.position;
    const name = this.text[at] === '`' ? this.quotedName() : this.word();
    if (name === undefined) this.fail(`expected a column name, found ${this.found()}${this.hintToQuote()}`);
    if (name === '') this.fail('a column name is empty', at);
    if (!name.isWellFormed()) this.fail('a column name has half a surrogate pair', at);
    const forbidden = FORBIDDEN_IN_NAME.exec(name);
    if (forbidden) {
      this.fail(
        `column name ${JSON.stringify(name)} has ${JSON.stringify(forbidden[0])}, which Delta does not allow`,
        at,
      );
    }
    this.skipSpace();
    return name;
  }

  private quotedName(): string {
    const at = this.position;
    const quoted = /`((?:[^`]|``)*)`/y;
    quoted.lastIndex = at;
    const match = quoted.exec(this.text);
    if (!match) this.fail('a backquote is not closed', at);
    this.position = quoted.lastIndex;
    return (match[1] ?? '').replaceAll('``', '`');
  }

  private hintToQuote(): string {
    return /[^\s,:<>()]/.test(this.text[this.position] ?? ' ')
      ? ': put other names than plain words in `backquotes`'
      : '';
  }

  private type(depth: number): DataType {
    const at = this.position;
    const word = this.word();
    if (word === undefined) this.fail(`expected a type, found ${this.found()}`);
    this.skipSpace();
    const upper = word.toUpperCase();
    const primitive = PRIMITIVES.get(upper);
    if (primitive) return { kind: 'primitive', name: primitive };
    if (DECIMALS.has(upper)) return this.decimal();
    if (UNSUPPORTED.has(upper)) this.fail(`type ${upper} is not supported`, at);
    if (upper !== 'ARRAY' && upper !== 'MAP' && upper !== 'STRUCT') this.fail(`unknown type ${word}`, at);
    if (depth >= MAX_SCHEMA_DEPTH) this.fail(`types are nested deeper than ${MAX_SCHEMA_DEPTH}`, at);
    if (upper === 'STRUCT') return this.struct(depth + 1);
    this.listsAround++;
    const type = upper === 'ARRAY' ? this.array(depth + 1) : this.map(depth + 1);
    this.listsAround--;
    return type;
  }

  private decimal(): DecimalType {
    if (!this.take('(')) return DEFAULT_DECIMAL;
    const precisionAt = this.position;
    const precision = this.integer();
    if (precision < 1 || precision > MAX_DECIMAL_PRECISION)
      this.fail(`a DECIMAL has 1 to ${MAX_DECIMAL_PRECISION} digits, not ${precision}`, precisionAt);
    const scaleAt = this.position + 1;
    const scale = this.take(',') ? this.integer() : 0;
    if (scale > precision)
      this.fail(`a DECIMAL of ${precision} digits cannot have ${scale} after the point`, scaleAt);
    this.expect(')', "the DECIMAL's digits");
    return { kind: 'decimal', precision, scale };
  }

  private array(depth: number): ArrayType {
    this.expect('<', 'ARRAY');
    const element = this.type(depth);
    this.expect('>', 'the element type');
    return { kind: 'array', element, containsNull: true };
  }

  private map(depth: number): MapType {
    this.expect('<', 'MAP');
    const keyAt = this.position;
    const key = this.type(depth);
    if (key.kind !== 'primitive' || key.name !== 'string')
      this.fail(`a MAP with keys of type ${formatType(key)}: keys of a JSON object are STRING`, keyAt);
    this.expect(',', 'the key type');
    const value = this.type(depth);
    this.expect('>', 'the value type');
    return { kind: 'map', key, value, valueContainsNull: true };
  }

  private struct(depth: number): StructType {
    this.expect('<', 'STRUCT');
    if (this.text[this.position] === '>') this.fail('a STRUCT without fields cannot be stored in Parquet');
    const fields = this.fields(depth);
    this.expect('>', "the STRUCT's fields");
    return { kind: 'struct', fields };
  }

  private stringLiteral(): string {
    const at = this.position;
    const literal = /'((?:[^'\\]|\\[\s\S]|'')*)'|"((?:[^"\\]|\\[\s\S]|"")*)"/y;
    literal.lastIndex = at;
    const match = literal.exec(this.text);
    if (!match) this.fail(`expected the comment in quotes, found ${this.found()}`, at);
    this.position = literal.lastIndex;
    this.skipSpace();
    const inner = match[1] ?? match[2] ?? '';
    return inner.replace(/\\([\s\S])|''|""/g, (pair, escaped: string | undefined) =>
      escaped === undefined ? unquotePair(pair, match[0]) : (ESCAPES[escaped] ?? escaped),
    );
  }

  private word(): string | undefined {
    WORD.lastIndex = this.position;
    const word = WORD.exec(this.text)?.[0];
    if (word !== undefined) this.position += word.length;
    return word;
  }

  private integer(): number {
    DIGITS.lastIndex = this.position;
    const digits = DIGITS.exec(this.text)?.[0];
    if (digits === undefined) this.fail(`expected a number of digits, found ${this.found()}`);
    this.position += digits.length;
    this.skipSpace();
    return Number(digits);
  }

  private takeWord(expected: string): boolean {
    const at = this.position;
    if (this.word()?.toUpperCase() !== expected) {
      this.position = at;
      return false;
    }
    this.skipSpace();
    return true;
  }

  private take(character: string): boolean {
    if (this.text[this.position] !== character) return false;
    this.position++;
    this.skipSpace();
    return true;
  }

  private expect(character: string, after: string): void {
    if (!this.take(character)) this.fail(`expected ${character} after ${after}, found ${this.found()}`);
  }

  private skipSpace(): void {
    SPACE.lastIndex = this.position;
    if (SPACE.test(this.text)) this.position = SPACE.lastIndex;
  }

  private found(): string {
    const rest = this.text.slice(this.position, this.position + 200);
    return rest === '' ? 'the end' : JSON.stringify(/^(?:\w+|[\s\S])/u.exec(rest)?.[0] ?? rest[0]);
  }

  private fail(problem: string, position = this.position): never {
    throw new DdlError(problem, this.text, position);
  }
}

/** A doubled quote stands for one inside quotes of its own kind, and for itself inside the other kind. */
function unquotePair(pair: string, literal: string): string {
  return pair[0] === literal[0] ? pair.slice(1) : pair;
}
