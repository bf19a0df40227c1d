/**
 * Goal: a table follows its pipeline exactly as far as no file has to be written again, and says why it goes
 * no further.
 *
 * Method: each allowed and each refused change by name, at every nesting; random schemas with random changes,
 * where the test knows what it changed; the commits of two specifications in every order, judged by what
 * readers would find.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Batch, decideCommit } from '../../src/commits/batch.ts';
import { decideCompaction } from '../../src/commits/compaction.ts';
import { fitSchema, type SchemaFit } from '../../src/commits/schema-fit.ts';
import { replay, type Snapshot } from '../../src/delta/snapshot.ts';
import { type DataType, type Field, formatDdl, parseDdl, type Schema } from '../../src/records/ddl.ts';
import { fromDeltaSchemaString, toDeltaSchemaString } from '../../src/records/delta-schema.ts';
import { dataFile, factsFor, makeBatch, ORIGIN, range } from './batches.ts';

function fitOf(
  table: string | Schema,
  pipeline: string | Schema,
  columns: string[] = [],
  others = columns,
): SchemaFit {
  const schema = (ddl: string | Schema) => (typeof ddl === 'string' ? parseDdl(ddl) : ddl);
  const metaData = { schemaString: toDeltaSchemaString(schema(table)), partitionColumns: columns };
  return fitSchema(metaData, schema(pipeline), others);
}

function evolved(found: SchemaFit) {
  if (found.kind !== 'evolves') throw new Error(JSON.stringify(found));
  return { ddl: formatDdl(fromDeltaSchemaString(found.schemaString)), changes: found.changes };
}

describe('allowed', () => {
  test('the same columns in any order, with other comments: nothing to do', () => {
    expect(fitOf("a INT COMMENT 'x', b STRING", "b STRING, a INT COMMENT 'y'")).toEqual({ kind: 'fits' });
  });

  test('new columns that may be null, at the end of their level, also below arrays and map values', () => {
    const table = 'a INT, s STRUCT<x: INT>, l ARRAY<STRUCT<x: INT>>, m MAP<STRING, STRUCT<x: INT>>';
    const pipeline =
      'n ARRAY<STRING>, a INT, s STRUCT<y: STRING, x: INT>, l ARRAY<STRUCT<y: DATE, x: INT>>, m MAP<STRING, STRUCT<x: INT, `ÿ z`: DOUBLE>>'.replace(
        '`ÿ z`',
        '`ÿ.z`',
      );
    expect(evolved(fitOf(table, pipeline))).toEqual({
      ddl: 'a INT, s STRUCT<x: INT, y: STRING>, l ARRAY<STRUCT<x: INT, y: DATE>>, m MAP<STRING, STRUCT<x: INT, `ÿ.z`: DOUBLE>>, n ARRAY<STRING>',
      changes: [
        { kind: 'added', column: 's.y', type: 'STRING' },
        { kind: 'added', column: 'l.element.y', type: 'DATE' },
        { kind: 'added', column: 'm.value.`ÿ.z`', type: 'DOUBLE' },
        { kind: 'added', column: 'n', type: 'ARRAY<STRING>' },
      ],
    });
  });

  test('NOT NULL taken back, and small integers widened, at every nesting', () => {
    const table =
      'a TINYINT NOT NULL, s STRUCT<x: SMALLINT NOT NULL>, l ARRAY<TINYINT>, m MAP<STRING, SMALLINT>';
    const pipeline = 'a INT, s STRUCT<x: INT>, l ARRAY<SMALLINT>, m MAP<STRING, INT>';
    const { ddl, changes } = evolved(fitOf(table, pipeline));
    expect(ddl).toBe(pipeline);
    expect(changes).toEqual([
      { kind: 'widened', column: 'a', from: 'TINYINT', to: 'INT' },
      { kind: 'nullable', column: 'a', type: 'TINYINT' },
      { kind: 'widened', column: 's.x', from: 'SMALLINT', to: 'INT' },
      { kind: 'nullable', column: 's.x', type: 'SMALLINT' },
      { kind: 'widened', column: 'l.element', from: 'TINYINT', to: 'SMALLINT' },
      { kind: 'widened', column: 'm.value', from: 'SMALLINT', to: 'INT' },
    ]);
  });

  test('a new column keeps its comment; old ones keep all metadata, also what we do not know', () => {
    const schemaString = JSON.stringify({
      type: 'struct',
      fields: [
        {
          name: 'a',
          type: 'short',
          nullable: true,
          metadata: { comment: 'old', owner: { big: 'x', list: [1] } },
        },
        {
          name: 's',
          type: {
            type: 'array',
            elementType: {
              type: 'struct',
              fields: [{ name: 'x', type: 'long', nullable: true, metadata: { k: 1 } }],
            },
            containsNull: true,
          },
          nullable: true,
          metadata: {},
        },
      ],
    });
    const pipeline = parseDdl("a INT COMMENT 'new', s ARRAY<STRUCT<x: BIGINT, y: INT>>, b INT COMMENT 'why'");
    const found = fitSchema({ schemaString, partitionColumns: [] }, pipeline, []);
    expect(found.kind === 'evolves' && JSON.parse(found.schemaString).fields).toMatchObject([
      { name: 'a', type: 'integer', metadata: { comment: 'old', owner: { big: 'x', list: [1] } } },
      { type: { elementType: { fields: [{ metadata: { k: 1 } }, { name: 'y', metadata: {} }] } } },
      { name: 'b', metadata: { comment: 'why' } },
    ]);
  });

  test('partition columns may be widened like others', () => {
    expect(evolved(fitOf('p TINYINT, x INT', 'p SMALLINT, x INT', ['p'])).ddl).toBe('p SMALLINT, x INT');
  });
});

describe('refused, with what stands where and what to do', () => {
  test.each<[table: string, pipeline: string, difference: string]>([
    ['a INT, b DATE NOT NULL', 'a INT', 'b DATE NOT NULL: the pipeline has no such column. Put it back'],
    ['s STRUCT<x: INT, y: INT>', 's STRUCT<x: INT>', 's.y INT: the pipeline has no such column'],
    ['a INT', 'a INT, b STRING NOT NULL', 'b STRING NOT NULL: the table has no such column'],
    [
      's STRUCT<x: INT>',
      's STRUCT<x: INT, y: INT NOT NULL>',
      's.y INT NOT NULL: the table has no such column',
    ],
    ['a INT', 'a INT NOT NULL', 'a: it may be null in the table, but is NOT NULL in the pipeline'],
    ['a INT', 'a BIGINT', 'a: INT in the table, BIGINT in the pipeline'],
    [
      'a BIGINT',
      'a DECIMAL(10,2)',
      'Declare it as BIGINT again, and add the column a_decimal_10_2 DECIMAL(10,2) with records.from: {a_decimal_10_2: a, a: null}',
    ],
    ['a INT', 'a SMALLINT', 'a: INT in the table, SMALLINT in the pipeline'],
    ['a FLOAT', 'a DOUBLE', 'a: FLOAT in the table, DOUBLE in the pipeline'],
    ['a DECIMAL(10,2)', 'a DECIMAL(12,2)', 'a: DECIMAL(10,2) in the table, DECIMAL(12,2) in the pipeline'],
    ['a DATE', 'a TIMESTAMP', 'a: DATE in the table, TIMESTAMP in the pipeline'],
    ['a ARRAY<INT>', 'a ARRAY<STRING>', 'a.element: INT in the table, STRING in the pipeline'],
    ['a MAP<STRING, INT>', 'a MAP<STRING, BIGINT>', 'a.value: INT in the table, BIGINT in the pipeline'],
    ['a ARRAY<INT>', 'a STRUCT<x: INT>', 'a: ARRAY<INT> in the table, STRUCT<x: INT> in the pipeline'],
    [
      'Price INT',
      'price INT',
      'Price: the pipeline calls it price, and columns cannot be renamed. Write Price; if the field is called price, also records.from: {Price: price}.',
    ],
    ['s STRUCT<X: INT>', 's STRUCT<x: INT>', 's.X: the pipeline calls it x'],
  ])('%s → %s', (table, pipeline, difference) => {
    const found = fitOf(table, pipeline);
    expect(found).toEqual({ kind: 'refused', differences: [expect.stringContaining(difference)] });
  });

  test('all differences at once, also where something else would be allowed', () => {
    const found = fitOf('a INT, b INT', 'a STRING, c INT');
    expect(found.kind === 'refused' && found.differences.length).toBe(2);
  });

  test('another partitioning, told once: its derived columns are no further news', () => {
    const table = 'a INT, t TIMESTAMP, t_day DATE';
    const pipeline = 'a INT, t TIMESTAMP, t_month DATE';
    expect(fitOf(table, pipeline, ['t_day'], ['t_month'])).toEqual({
      kind: 'refused',
      differences: [
        'The table is partitioned by t_day, but in the pipeline it is partitioned by t_month. Partitioning cannot be changed: correct table.partitionBy, or use another location.',
      ],
    });
    expect(fitOf('a INT, b INT', 'a INT, b INT', ['a', 'b'], ['b', 'a']).kind).toBe('refused');
  });
});

describe('random schemas', () => {
  const primitive = fc
    .constantFrom('byte', 'short', 'integer', 'long', 'string', 'date', 'double')
    .map((name): DataType => ({ kind: 'primitive', name }) as DataType);
  const { type } = fc.letrec<{ type: DataType }>((tie) => ({
    type: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      primitive,
      fc.record({
        kind: fc.constant('array' as const),
        element: tie('type'),
        containsNull: fc.constant(true),
      }),
      fc.record({
        kind: fc.constant('map' as const),
        key: fc.constant<DataType>({ kind: 'primitive', name: 'string' }),
        value: tie('type'),
        valueContainsNull: fc.constant(true),
      }),
      fields(tie('type')).map((list) => ({ kind: 'struct' as const, fields: list })),
    ),
  }));
  const schema = fields(type).map((list) => ({ fields: list }));

  function fields(of: fc.Arbitrary<DataType>): fc.Arbitrary<Field[]> {
    const field = fc.record({
      name: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
      type: of,
      nullable: fc.boolean(),
    });
    return fc.uniqueArray(field, { minLength: 1, maxLength: 4, selector: ({ name }) => name });
  }

  test('grown in allowed steps: the table ends with exactly the pipeline’s columns, and then fits', () => {
    fc.assert(
      fc.property(schema, fc.infiniteStream(fc.nat(5)), (table, dice) => {
        const pipeline = { fields: grow(table.fields, dice) };
        const found = fitOf(table, pipeline);
        const next = found.kind === 'evolves' ? fromDeltaSchemaString(found.schemaString) : table;
        expect(found.kind).not.toBe('refused');
        expect(fitOf(next, pipeline)).toEqual({ kind: 'fits' });
        expect(sorted(next)).toBe(sorted(pipeline));
        // What was there stays where it was: readers that go by position see no change.
        expect(next.fields.slice(0, table.fields.length).map(({ name }) => name)).toEqual(
          table.fields.map(({ name }) => name),
        );
      }),
    );
  });

  test('and never back: from the grown table the old pipeline is refused by name, unless they are the same', () => {
    fc.assert(
      fc.property(schema, fc.infiniteStream(fc.nat(5)), (older, dice) => {
        const newer = { fields: grow(older.fields, dice) };
        expect(fitOf(newer, older).kind).toBe(sorted(older) === sorted(newer) ? 'fits' : 'refused');
      }),
    );
  });

  function grow(list: readonly Field[], dice: Iterator<number>): Field[] {
    const roll = () => dice.next().value as number;
    const grown = list.map((field) => ({
      ...field,
      type: growType(field.type, dice),
      nullable: field.nullable || roll() === 0,
    }));
    const added: Field = { name: `new${roll()}`, type: { kind: 'primitive', name: 'date' }, nullable: true };
    const names = new Set(list.map(({ name }) => name));
    return roll() < 2 && !names.has(added.name) ? [added, ...grown] : grown;
  }

  function growType(from: DataType, dice: Iterator<number>): DataType {
    if (from.kind === 'struct') return { kind: 'struct', fields: grow(from.fields, dice) };
    if (from.kind === 'array') return { ...from, element: growType(from.element, dice) };
    if (from.kind === 'map') return { ...from, value: growType(from.value, dice) };
    const wider = from.kind === 'primitive' && (from.name === 'byte' || from.name === 'short');
    return wider && dice.next().value === 0 ? { kind: 'primitive', name: 'integer' } : from;
  }

  /** The columns whatever their order. */
  function sorted({ fields: list }: Schema): string {
    const order = (type: DataType): DataType => {
      if (type.kind === 'struct') return { kind: 'struct', fields: orderAll(type.fields) };
      if (type.kind === 'array') return { ...type, element: order(type.element) };
      return type.kind === 'map' ? { ...type, value: order(type.value) } : type;
    };
    const orderAll = (some: readonly Field[]): Field[] =>
      some
        .map((field) => ({ ...field, type: order(field.type) }))
        .toSorted((a, b) => (a.name < b.name ? -1 : 1));
    return formatDdl({ fields: orderAll(list) });
  }
});

describe('two specifications at once', () => {
  const older = parseDdl('id BIGINT NOT NULL, n TINYINT');
  const newer = parseDdl('id BIGINT NOT NULL, n SMALLINT, extra STRING');

  /** Kafka partition 0 is the older run's, 1 the newer's, so that offsets never stand between them. */
  const batches: Record<'older' | 'newer', Batch[]> = {
    older: ['o1', 'o2'].map((batchId, i) => batchOf(batchId, 0, i, older)),
    newer: ['n1', 'n2'].map((batchId, i) => batchOf(batchId, 1, i, newer)),
  };

  function batchOf(batchId: string, kafkaPartition: number, i: number, schema: Schema): Batch {
    const start = BigInt(10 + 2 * i);
    return makeBatch({
      batchId,
      schema,
      plannedOn: { tableId: 'table', tableVersion: 0, epoch: 0n },
      partitions: [range(kafkaPartition, start, start + 2n)],
      files: [dataFile(`${batchId}.parquet`, 2)],
    });
  }

  test('in every order of their commits: the older one is refused from the evolution on, the rest is committed', () => {
    const orders = interleavings(['older', 'older'] as const, ['newer', 'newer'] as const);
    expect(orders.length).toBe(6);
    for (const order of orders) {
      let table = commitTo(undefined, firstBatch(), 0);
      const next = { older: 0, newer: 0 };
      let isEvolved = false;
      for (const who of order) {
        const batch = batches[who][next[who]];
        if (batch === undefined) throw new Error('there is a batch');
        const decision = decideCommit(table, batch, factsFor(batch.files));
        if (who === 'older' && isEvolved) {
          expect(decision).toMatchObject({
            kind: 'schemaMismatch',
            differences: [expect.stringMatching(/^n: SMALLINT/), expect.stringMatching(/^extra STRING/)],
          });
          continue;
        }
        table = commitTo(table, batch, next[who]++);
        isEvolved ||= who === 'newer';
      }
      // Every file's own columns are the table's, or absent, or narrower: its rows are readable, none is
      // lost.
      expect(table.files.size).toBe(1 + next.older + next.newer);
      expect(next.newer).toBe(2);
      expect(fromDeltaSchemaString(table.metaData.schemaString)).toEqual(newer);
      expect(table.metaData).toMatchObject({ id: 'table', createdTime: factsFor([]).nowMs });
    }
  });

  test('a foreign change of properties between plan and commit is kept, the schema evolves all the same', () => {
    const table = commitTo(undefined, firstBatch(), 0);
    const metaData = { ...table.metaData, configuration: { ...table.metaData.configuration, 'x.y': 'z' } };
    const [batch] = batches.newer;
    if (batch === undefined) throw new Error('there is a batch');
    const after = commitTo({ ...table, metaData }, batch, 0);
    expect(after.metaData.configuration).toEqual(metaData.configuration);
    expect(fromDeltaSchemaString(after.metaData.schemaString)).toEqual(newer);
  });

  test('a foreign new column between plan and commit: refused with it, nothing is taken out of the table', () => {
    const table = commitTo(undefined, firstBatch(), 0);
    const foreign = toDeltaSchemaString({ fields: [...older.fields, ...parseDdl('theirs DOUBLE').fields] });
    const [batch] = batches.newer;
    if (batch === undefined) throw new Error('there is a batch');
    const decision = decideCommit(
      { ...table, metaData: { ...table.metaData, schemaString: foreign } },
      batch,
      factsFor(batch.files),
    );
    expect(decision).toMatchObject({
      kind: 'schemaMismatch',
      differences: [expect.stringContaining('theirs DOUBLE: the pipeline has no such column')],
    });
  });

  test('a compaction planned before the evolution is committed after it: its files lack the new columns, as their inputs do', () => {
    const table = commitTo(undefined, firstBatch(), 0);
    const [batch] = batches.newer;
    if (batch === undefined) throw new Error('there is a batch');
    const evolved = commitTo(table, batch, 0);
    const outputs = [dataFile('compacted.parquet', 20)];
    const compaction = {
      ...{ batchId: 'c', pipeline: 'products', run: 'c', origin: ORIGIN, tableId: 'table', tableVersion: 0 },
      ...{ inputs: [{ path: 'first.parquet', rowCount: 20 }], outputs },
    };
    const decision = decideCompaction(evolved, compaction, factsFor(outputs));
    if (decision.kind !== 'commit') throw new Error(decision.kind);
    expect(decision.actions[0]).toMatchObject({ commitInfo: { tidemark: 'compact', ...ORIGIN } });
    expect(decision.actions.some((action) => 'metaData' in action)).toBe(false);
    const after = replay(evolved, [{ tableVersion: decision.tableVersion, actions: decision.actions }]);
    expect([...after.files.keys()].toSorted()).toEqual(['compacted.parquet', 'n1.parquet']);
    expect(fromDeltaSchemaString(after.metaData.schemaString)).toEqual(newer);
  });

  function firstBatch(): Batch {
    const partitions = [range(0, undefined, 10n), range(1, undefined, 10n)];
    return makeBatch({ batchId: 'first', schema: older, partitions, files: [dataFile('first.parquet', 20)] });
  }

  function commitTo(table: Snapshot | undefined, batch: Batch, at: number): Snapshot {
    const decision = decideCommit(table, batch, factsFor(batch.files));
    if (decision.kind !== 'commit')
      throw new Error(`${batch.batchId} ${at}: ${JSON.stringify(decision, String)}`);
    const changes = decision.actions.filter((action) => 'metaData' in action);
    expect(changes.length).toBeLessThanOrEqual(1);
    return replay(table, [{ tableVersion: decision.tableVersion, actions: decision.actions }]);
  }
});

function interleavings<T>(one: readonly T[], other: readonly T[]): T[][] {
  const [a] = one;
  const [b] = other;
  if (a === undefined || b === undefined) return [[...one, ...other]];
  return [
    ...interleavings(one.slice(1), other).map((rest) => [a, ...rest]),
    ...interleavings(one, other.slice(1)).map((rest) => [b, ...rest]),
  ];
}
