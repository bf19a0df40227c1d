/**
 * Goal: for any schema and any bytes, the decoder writes exactly the row that the slow model reads, or nothing.
 *
 * Method: random schemas; documents that mostly fit, and damaged copies of them. Each record lies inside a larger
 * buffer whose bytes on both sides would continue it, and several go into the same columns one after the other. Rows
 * are put together again from levels and values. TIDEMARK_CASES sets the number of schemas (seven records each).
 */
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Columns } from '../../src/records/columns.ts';
import { formatDdl } from '../../src/records/ddl.ts';
import { JsonDecoder } from '../../src/records/json-decoder.ts';
import { type Assembled, assembleRows } from './assembly.ts';
import { JsonGenerator } from './json-generator.ts';
import { decodeSlowly } from './json-model.ts';

const cases = Number(process.env.TIDEMARK_CASES ?? 1500);
const seed = Number(process.env.TIDEMARK_SEED ?? Date.now() % 2 ** 31);

test(`rows equal the model's (${cases} schemas, TIDEMARK_SEED=${seed})`, {
  timeout: 60_000 + cases * 20,
}, () => {
  const outcomes = { row: 0, fieldDefect: 0, recordDefect: 0 };
  fc.assert(
    fc.property(fc.noShrink(fc.integer()), (schemaSeed) => {
      for (const outcome of decodeAndCompare(schemaSeed)) outcomes[outcome]++;
    }),
    { numRuns: cases, seed },
  );
  console.log(`seed ${seed}:`, outcomes);
  // The generator must not have degenerated: each outcome needs a good share.
  const total = outcomes.row + outcomes.fieldDefect + outcomes.recordDefect;
  for (const [outcome, count] of Object.entries(outcomes))
    expect(count / total, outcome).toBeGreaterThan(0.1);
});

function decodeAndCompare(schemaSeed: number): ('row' | 'fieldDefect' | 'recordDefect')[] {
  const random = new JsonGenerator(schemaSeed);
  const schema = random.schema();
  const timestamps = random.timestamps(schema);
  const maxDepth = random.below(4) === 0 ? 3 : 512;
  const columns = new Columns(schema);
  const decoder = new JsonDecoder({ nodes: columns.nodes, timestamps, limits: { maxDepth } });
  const documents = [1, 2, 3].map(() => random.document(schema));
  const records = [
    ...documents,
    ...documents.map((document) => random.damage(document)),
    random.document(schema),
  ];

  const rows: Assembled[] = [];
  const outcomes = records.map((record) => {
    const expected = decodeSlowly(schema, timestamps, record, maxDepth);
    const before = Buffer.from('{"id":1'.slice(random.below(8)));
    const buffer = Buffer.concat([before, record, Buffer.from(random.below(2) === 0 ? '"}]}1' : '11]}"}')]);
    const outcome = decoder.decode(buffer, before.length, before.length + record.length);
    const context = `${formatDdl(schema)} maxDepth ${maxDepth} ${JSON.stringify(record.toString('latin1'))}`;
    if (outcome !== expected.outcome) throw new Error(`${outcome}, expected ${expected.outcome}: ${context}`);
    const defect = decoder.defect();
    if ((defect === undefined) !== (outcome === 'row'))
      throw new Error(`defect ${defect?.message}: ${context}`);
    if (defect && !(defect.byteOffset >= 0 && defect.byteOffset <= record.length)) {
      throw new Error(`defect at byte ${defect.byteOffset}: ${context}`);
    }
    if (outcome !== 'recordDefect') rows.push(expected.row);
    return outcome;
  });
  const assembled = rows.length === 0 ? [] : assembleRows(columns);
  if (!isDeepStrictEqual(assembled, rows)) {
    expect(assembled, formatDdl(schema)).toStrictEqual(rows);
    throw new Error(`rows differ: ${formatDdl(schema)}`);
  }
  if (rows.length === 0 && columns.sizeBytes > 0)
    throw new Error(`columns are not empty: ${formatDdl(schema)}`);
  return outcomes;
}
