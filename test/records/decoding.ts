import { Columns } from '../../src/records/columns.ts';
import { parseDdl, type Schema } from '../../src/records/ddl.ts';
import type { ValueRules } from '../../src/records/decode-plan.ts';
import { type DecodeOutcome, JsonDecoder } from '../../src/records/json-decoder.ts';
import type { DefectReason } from '../../src/records/json-defect.ts';
import type { JsonLimits } from '../../src/records/json-scanner.ts';
import type { TimestampFormat } from '../../src/records/timestamp-format.ts';
import { type Assembled, assembleRows } from './assembly.ts';

export interface DecodedRecord {
  readonly outcome: DecodeOutcome;
  /** Rows in the columns afterwards, as plain objects. */
  readonly rows: readonly Assembled[];
  readonly truncated: number;
  readonly reason: DefectReason | undefined;
  readonly path: string | undefined;
  readonly byteOffset: number | undefined;
}

/** Decodes one record into fresh columns. */
export function decodeRecord(
  ddl: string | Schema,
  record: string | Uint8Array,
  timestamps: Readonly<Record<string, TimestampFormat>> = {},
  limits: Partial<JsonLimits> = {},
  rules: ValueRules = {},
): DecodedRecord {
  const columns = new Columns(typeof ddl === 'string' ? parseDdl(ddl) : ddl);
  const decoder = new JsonDecoder({ nodes: columns.nodes, ...rules, timestamps, limits });
  const bytes = Buffer.from(record);
  const outcome = decoder.decode(bytes, 0, bytes.length);
  const rows = columns.leaves[0]?.levelCount === 0 ? [] : assembleRows(columns).map(plain);
  const defect = decoder.defect();
  const { truncated } = decoder;
  return {
    outcome,
    rows,
    truncated,
    reason: defect?.reason,
    path: defect?.path,
    byteOffset: defect?.byteOffset,
  };
}

/** With ordinary prototypes, so that literals compare equal. */
function plain(value: Assembled): Assembled {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, plain(inner)]));
}
