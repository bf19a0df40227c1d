/** The table's schema as Spark's DDL writes it: `id STRING NOT NULL, tags ARRAY<STRING>`. */
export interface Schema {
  readonly fields: readonly Field[];
}

export interface Field {
  readonly name: string;
  readonly type: DataType;
  readonly nullable: boolean;
}

export type DataType = PrimitiveType | ArrayType | StructType;

/** Names as in Delta's schema JSON. */
export type PrimitiveName = 'string' | 'long' | 'integer' | 'double' | 'boolean' | 'date' | 'timestamp';

export interface PrimitiveType {
  readonly kind: 'primitive';
  readonly name: PrimitiveName;
}

export interface ArrayType {
  readonly kind: 'array';
  readonly element: DataType;
  readonly containsNull: boolean;
}

export interface StructType {
  readonly kind: 'struct';
  readonly fields: readonly Field[];
}
