import type { SqlType } from './database.ts';

/** DuckDB's types that tables have, and how the DDL calls them. */
const DDL_TYPES: Readonly<Record<string, string>> = {
  VARCHAR: 'STRING',
  BLOB: 'BINARY',
  BIGINT: 'BIGINT',
  INTEGER: 'INT',
  SMALLINT: 'SMALLINT',
  TINYINT: 'TINYINT',
  DOUBLE: 'DOUBLE',
  FLOAT: 'FLOAT',
  BOOLEAN: 'BOOLEAN',
  DATE: 'DATE',
  'TIMESTAMP WITH TIME ZONE': 'TIMESTAMP',
};

/** What to cast the others to. */
const CASTS: Readonly<Record<string, string>> = {
  HUGEINT: 'DECIMAL(38,0)',
  UHUGEINT: 'DECIMAL(38,0)',
  UBIGINT: 'DECIMAL(20,0)',
  UINTEGER: 'BIGINT',
  USMALLINT: 'INTEGER',
  UTINYINT: 'SMALLINT',
  BIGNUM: 'DECIMAL(38,0)',
  TIMESTAMP: 'TIMESTAMPTZ',
  TIMESTAMP_S: 'TIMESTAMPTZ',
  TIMESTAMP_MS: 'TIMESTAMPTZ',
  TIMESTAMP_NS: 'TIMESTAMPTZ',
};

/** The DDL of a type that DuckDB found, or what to do about one that tables do not have. */
export type Ddl =
  | { readonly kind: 'type'; readonly ddl: string }
  | { readonly kind: 'unfit'; readonly type: string; readonly castTo: string };

export function ddlOf(type: SqlType): Ddl {
  switch (type.kind) {
    case 'plain': {
      const ddl = DDL_TYPES[type.text];
      if (ddl !== undefined) return { kind: 'type', ddl };
      return { kind: 'unfit', type: type.text, castTo: CASTS[type.text] ?? 'VARCHAR' };
    }
    case 'decimal':
      return { kind: 'type', ddl: `DECIMAL(${type.precision},${type.scale})` };
    case 'list':
      return around([type.element], ([element]) => `ARRAY<${element}>`);
    case 'map':
      if (type.key.text !== 'VARCHAR') {
        return { kind: 'unfit', type: type.text, castTo: `MAP(VARCHAR, ${type.value.text})` };
      }
      return around([type.value], ([value]) => `MAP<STRING, ${value}>`);
    case 'struct': {
      const names = type.fields.map(({ name }) => name);
      if (names.includes('')) return { kind: 'unfit', type: type.text, castTo: 'STRUCT(name type, ...)' };
      const fields = type.fields.map((field) => field.type);
      return around(
        fields,
        (ddls) => `STRUCT<${ddls.map((ddl, at) => `${quoted(names[at] ?? '')}: ${ddl}`).join(', ')}>`,
      );
    }
  }
}

/** The type around others, unless one of them is unfit. */
function around(inner: readonly SqlType[], ddl: (inner: readonly string[]) => string): Ddl {
  const ddls: string[] = [];
  for (const type of inner) {
    const found = ddlOf(type);
    if (found.kind === 'unfit') return found;
    ddls.push(found.ddl);
  }
  return { kind: 'type', ddl: ddl(ddls) };
}

function quoted(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``;
}
