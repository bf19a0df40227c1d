import type { MetaData } from '../delta/actions.ts';
import { parseJson, writeJson } from '../delta/json.ts';
import { type DataType, type Field, formatType, type Schema } from '../records/ddl.ts';
import { fromDeltaSchemaString, toDeltaSchemaString } from '../records/delta-schema.ts';

export type SchemaFit =
  | { readonly kind: 'fits' }
  | Evolution
  /** A line for each difference: what stands in the table, what in the pipeline, what to do. */
  | { readonly kind: 'refused'; readonly differences: readonly string[] };

/**
 * What the table's schema becomes, so that the pipeline's rows fit it and no file has to be written again.
 */
export interface Evolution {
  readonly kind: 'evolves';
  /**
   * For `metaData`: the table's columns as they are, with all their metadata; new ones at the end of their
   * level.
   */
  readonly schemaString: string;
  readonly changes: readonly SchemaChange[];
}

/** Of a column, nested ones by path: `seller.since`, `tags.element`, `prices.value`. Types are DDL. */
export type SchemaChange =
  | { readonly kind: 'added'; readonly column: string; readonly type: string }
  | { readonly kind: 'widened'; readonly column: string; readonly from: string; readonly to: string }
  /** NOT NULL no longer. */
  | { readonly kind: 'nullable'; readonly column: string; readonly type: string };

/**
 * Whether the pipeline's columns fit the table. Order and comments of columns don't matter: files are read by
 * name.
 *
 * The table may change in what no reader needs a table feature for: new columns that may be null, NOT NULL
 * taken back, TINYINT to SMALLINT to INT (one physical type, INT32); within structs, arrays and map values
 * too.
 *
 * @throws Failure TABLE_UNSUPPORTED where the table holds a type that is not ours
 */
export function fitSchema(
  metaData: Pick<MetaData, 'schemaString' | 'partitionColumns'>,
  schema: Schema,
  partitionColumns: readonly string[],
): SchemaFit {
  const merge = new SchemaMerge();
  const repartitioned = partitioningDifference(metaData.partitionColumns, partitionColumns);
  const inTable = fromDeltaSchemaString(metaData.schemaString).fields;
  // Of another partitioning, the columns that it would add or leave out are no news.
  const ignored = repartitioned === undefined ? [] : [...metaData.partitionColumns, ...partitionColumns];
  const compared = (fields: readonly Field[]) => fields.filter(({ name }) => !ignored.includes(name));
  const fields = merge.fields(compared(inTable), compared(schema.fields), '');
  const differences = [...merge.differences, ...(repartitioned ?? [])];
  if (differences.length > 0) return { kind: 'refused', differences };
  if (merge.changes.length === 0) return { kind: 'fits' };
  const schemaString = keepMetadata(toDeltaSchemaString({ fields }), metaData.schemaString);
  return { kind: 'evolves', schemaString, changes: merge.changes };
}

/** The table's columns with the pipeline's merged into them, and what was found on the way. */
class SchemaMerge {
  readonly changes: SchemaChange[] = [];
  readonly differences: string[] = [];

  fields(inTable: readonly Field[], inPipeline: readonly Field[], parent: string): Field[] {
    const byName = new Map(inPipeline.map((field) => [field.name.toLowerCase(), field]));
    const known = new Set(inTable.map(({ name }) => name.toLowerCase()));
    const kept = inTable.map((field) => this.field(field, byName.get(field.name.toLowerCase()), parent));
    const added = inPipeline.filter(({ name }) => !known.has(name.toLowerCase()));
    return [...kept, ...added.map((field) => this.added(field, parent))];
  }

  private field(inTable: Field, inPipeline: Field | undefined, parent: string): Field {
    const path = pathOf(parent, inTable.name);
    if (inPipeline === undefined) {
      const text = declared(inTable.type, inTable.nullable);
      return this.refuse(
        inTable,
        `${path} ${text}: the pipeline has no such column. Put it back: rows of records without it get null.`,
      );
    }
    if (inPipeline.name !== inTable.name) {
      return this.refuse(
        inTable,
        `${path}: the pipeline calls it ${inPipeline.name}, and columns cannot be renamed. Write ${inTable.name}; if the field is called ${inPipeline.name}, also records.from: {${inTable.name}: ${inPipeline.name}}.`,
      );
    }
    const type = this.type(inTable.type, inPipeline.type, path);
    return { ...inTable, type, nullable: this.nullable(inTable, inPipeline.nullable, path) };
  }

  private added(field: Field, parent: string): Field {
    const path = pathOf(parent, field.name);
    if (!field.nullable) {
      return this.refuse(
        field,
        `${path} ${declared(field.type, false)}: the table has no such column, so its existing rows have no value for it. Declare it without NOT NULL.`,
      );
    }
    this.changes.push({ kind: 'added', column: path, type: formatType(field.type) });
    return field;
  }

  private type(inTable: DataType, inPipeline: DataType, path: string): DataType {
    if (inTable.kind === 'struct' && inPipeline.kind === 'struct') {
      return { kind: 'struct', fields: this.fields(inTable.fields, inPipeline.fields, path) };
    }
    if (inTable.kind === 'array' && inPipeline.kind === 'array') {
      const at = `${path}.element`;
      const element = this.type(inTable.element, inPipeline.element, at);
      const before = { type: inTable.element, nullable: inTable.containsNull };
      return { kind: 'array', element, containsNull: this.nullable(before, inPipeline.containsNull, at) };
    }
    if (inTable.kind === 'map' && inPipeline.kind === 'map') {
      const at = `${path}.value`;
      const value = this.type(inTable.value, inPipeline.value, at);
      const before = { type: inTable.value, nullable: inTable.valueContainsNull };
      const valueContainsNull = this.nullable(before, inPipeline.valueContainsNull, at);
      return { kind: 'map', key: inTable.key, value, valueContainsNull };
    }
    return this.leaf(inTable, inPipeline, path);
  }

  private leaf(inTable: DataType, inPipeline: DataType, path: string): DataType {
    const [from, to] = [formatType(inTable), formatType(inPipeline)];
    if (from === to) return inTable;
    const width = WIDENING.indexOf(from);
    if (width >= 0 && WIDENING.indexOf(to) > width) {
      this.changes.push({ kind: 'widened', column: path, from, to });
      return inPipeline;
    }
    const wider = `${path.replaceAll(/\W+/g, '_')}_${to.toLowerCase().replaceAll(/\W+/g, '_').replace(/_$/, '')}`;
    const isTop = !path.includes('.');
    const fix = [
      'Only TINYINT to SMALLINT to INT can be widened.',
      `Declare it as ${from} again, and add the column ${wider} ${to} with records.from: {${wider}: ${path}${isTop ? `, ${path}: null` : ''}}`,
      `so that it takes the field${isTop ? ' instead' : ' too'}.`,
    ];
    return this.refuse(inTable, `${path}: ${from} in the table, ${to} in the pipeline. ${fix.join(' ')}`);
  }

  private nullable(inTable: Pick<Field, 'type' | 'nullable'>, inPipeline: boolean, path: string): boolean {
    if (inTable.nullable && !inPipeline) {
      return this.refuse(
        true,
        `${path}: it may be null in the table, but is NOT NULL in the pipeline. Remove NOT NULL: the table may hold nulls.`,
      );
    }
    if (!inTable.nullable && inPipeline) {
      this.changes.push({ kind: 'nullable', column: path, type: formatType(inTable.type) });
    }
    return inTable.nullable || inPipeline;
  }

  private refuse<T>(asItIs: T, difference: string): T {
    this.differences.push(difference);
    return asItIs;
  }
}

const WIDENING: readonly string[] = ['TINYINT', 'SMALLINT', 'INT'];

function partitioningDifference(
  inTable: readonly string[],
  inPipeline: readonly string[],
): string[] | undefined {
  if (JSON.stringify(inTable) === JSON.stringify(inPipeline)) return undefined;
  const list = (names: readonly string[]) =>
    names.length === 0 ? 'not partitioned' : `partitioned by ${names.join(', ')}`;
  return [
    `The table is ${list(inTable)}, but in the pipeline it is ${list(inPipeline)}. Partitioning cannot be changed: correct table.partitionBy, or use another location.`,
  ];
}

/** Names that are not plain words stand in backquotes, as in DDL. */
function pathOf(parent: string, name: string): string {
  const quoted = /^\w+$/.test(name) ? name : `\`${name.replaceAll('`', '``')}\``;
  return parent === '' ? quoted : `${parent}.${quoted}`;
}

function declared(type: DataType, nullable: boolean): string {
  return `${formatType(type)}${nullable ? '' : ' NOT NULL'}`;
}

/**
 * `schemaString` with the metadata of every field that `before` has, of which a `Schema` knows only the
 * comment.
 */
function keepMetadata(schemaString: string, before: string): string {
  return writeJson(withMetadata(parseJson(schemaString), parseJson(before)));
}

function withMetadata(type: unknown, before: unknown): unknown {
  if (!isObject(type) || !isObject(before)) return type;
  const below = (key: string) => (key in type ? { [key]: withMetadata(type[key], before[key]) } : {});
  const fields = Array.isArray(type.fields) ? { fields: withFields(type.fields, before.fields) } : {};
  return { ...type, ...fields, ...below('elementType'), ...below('keyType'), ...below('valueType') };
}

function withFields(fields: readonly unknown[], before: unknown): unknown[] {
  const known: readonly unknown[] = Array.isArray(before) ? before : [];
  const byName = new Map(known.flatMap((field) => (isObject(field) ? [[field.name, field]] : [])));
  return fields.map((field) => {
    const old = isObject(field) ? byName.get(field.name) : undefined;
    if (!isObject(field) || old === undefined) return field;
    return { ...field, type: withMetadata(field.type, old.type), metadata: old.metadata ?? {} };
  });
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
