/**
 * Goal: for any schema and any bytes, the decoder writes exactly the row that the slow model reads, or
 * nothing.
 *
 * Method: random schemas; five documents each that mostly fit, and five damaged copies. Each record lies
 * inside a larger buffer whose bytes on both sides would continue it, and all go into the same columns one
 * after the other. Rows are put together again from levels and values. TIDEMARK_CASES sets the number of
 * documents, damaged ones included; `TIDEMARK_CASES=1000000` is the full size.
 */
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Columns, type LeafColumn } from '../../src/records/columns.ts';
import { formatDdl } from '../../src/records/ddl.ts';
import { JsonDecoder } from '../../src/records/json-decoder.ts';
import { type Assembled, assembleRows } from './assembly.ts';
import { JsonGenerator } from './json-generator.ts';
import { decodeSlowly } from './json-model.ts';

const DOCUMENTS = 5;
const cases = Number(process.env.TIDEMARK_CASES ?? 15_000);
const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);

test(`rows equal the model's (${cases} documents, SEED=${seed})`, {
  timeout: 60_000 + cases * 5,
}, () => {
  const outcomes = { row: 0, fieldDefect: 0, recordDefect: 0 };
  let schemas = 0;
  fc.assert(
    fc.property(fc.noShrink(fc.integer()), (schemaSeed) => {
      schemas++;
      for (const outcome of decodeAndCompare(schemaSeed)) outcomes[outcome]++;
    }),
    { numRuns: Math.ceil(cases / (2 * DOCUMENTS)), seed },
  );
  const each = schemas * DOCUMENTS;
  console.log(`seed ${seed}: ${schemas} schemas, ${each} documents, ${each} mutants:`, outcomes);
  // The generator must not have degenerated: each outcome needs a good share.
  for (const [outcome, count] of Object.entries(outcomes))
    expect(count / (2 * each), outcome).toBeGreaterThan(0.1);
});

function decodeAndCompare(schemaSeed: number): ('row' | 'fieldDefect' | 'recordDefect')[] {
  const random = new JsonGenerator(schemaSeed);
  const schema = random.schema();
  const rules = random.rules(schema);
  const maxDepth = random.below(4) === 0 ? 3 : 512;
  const takesBack = random.below(4) === 0;
  const columns = new Columns(schema);
  const rest = random.below(2) === 0 ? undefined : new Columns(REST_SCHEMA);
  const options = { nodes: columns.nodes, ...rules, limits: { maxDepth } };
  const decoder = new JsonDecoder(rest ? { ...options, rest: rest.leaves[0] as LeafColumn } : options);
  const documents = Array.from({ length: DOCUMENTS }, () => random.document(random.source(schema, rules)));
  const records = [...documents, ...documents.map((document) => random.damage(document))];

  const rows: Assembled[] = [];
  const restRows: Assembled[] = [];
  const outcomes = records.map((record) => {
    const expected = decodeSlowly(schema, rules, record, maxDepth);
    const before = Buffer.from('{"id":1'.slice(random.below(8)));
    const buffer = Buffer.concat([before, record, Buffer.from(random.below(2) === 0 ? '"}]}1' : '11]}"}')]);
    const outcome = decoder.decode(buffer, before.length, before.length + record.length);
    const context = `${formatDdl(schema)} ${JSON.stringify(rules)} maxDepth ${maxDepth} ${JSON.stringify(record.toString('latin1'))}`;
    if (outcome !== expected.outcome) {
      throw new Error(`${outcome} (${decoder.defect()?.message}), expected ${expected.outcome}: ${context}`);
    }
    const defect = decoder.defect();
    if ((defect === undefined) !== (outcome === 'row'))
      throw new Error(`defect ${defect?.message}: ${context}`);
    if (defect && !(defect.byteOffset >= 0 && defect.byteOffset <= record.length)) {
      throw new Error(`defect at byte ${defect.byteOffset}: ${context}`);
    }
    if (outcome !== 'recordDefect' && decoder.truncated !== expected.truncated)
      throw new Error(`${decoder.truncated} truncated, expected ${expected.truncated}: ${context}`);
    if (outcome === 'fieldDefect' && takesBack) decoder.rollback();
    else if (outcome !== 'recordDefect') {
      rows.push(expected.row);
      restRows.push(Object.assign(Object.create(null), { _rest: expected.rest }));
    }
    return outcome;
  });
  expectRows(columns, rows, `${formatDdl(schema)} ${JSON.stringify(rules)}`);
  if (rest) expectRows(rest, restRows, `_rest of ${formatDdl(schema)} ${JSON.stringify(rules)}`);
  return outcomes;
}

const REST_SCHEMA = {
  fields: [{ name: '_rest', type: { kind: 'primitive', name: 'string' }, nullable: true }],
} as const;

function expectRows(columns: Columns, rows: readonly Assembled[], context: string): void {
  if (rows.length === 0) {
    for (const leaf of columns.leaves) expect(leaf.sizeBytes, context).toBe(0);
    return;
  }
  const assembled = assembleRows(columns);
  if (isDeepStrictEqual(assembled, rows)) return;
  expect(assembled, context).toStrictEqual(rows);
  throw new Error(`rows differ: ${context}`);
}
