import { formatType } from '../records/ddl.ts';
import { recordsWith } from './infer-schema.ts';
import type { InferredField } from './infer-type.ts';
import type { ValueKind } from './observe-records.ts';
import { allColumns, evidence, leftOut } from './proposal.ts';
import type { Proposed } from './propose.ts';
import type { Trial } from './trial.ts';

/** A proposal with its evidence, and what the decoder made of the sample. */
export interface ProposalJson {
  readonly pipeline: string;
  /** Absolute, of the pipeline file. */
  readonly path: string;
  readonly written: boolean;
  readonly topics: readonly string[];
  readonly sample: {
    readonly records: number;
    /** What ended the sample before it had all records that were asked for; null where nothing did. */
    readonly cutBy: 'bytes' | 'time' | null;
    /** Records that are no JSON objects, by reason. */
    readonly malformed: Readonly<Record<string, number>>;
  };
  /** Columns, and fields of them, each before its own. */
  readonly columns: readonly ColumnJson[];
  readonly leftOut: readonly { readonly path: string; readonly why: string | undefined }[];
  readonly partitionBy: readonly string[];
  readonly decoded: Trial & {
    /** By the schema alone: the same number, unless the inference errs. */
    readonly expectedDeadLetters: number;
  };
  /** The pipeline file. */
  readonly text: string;
}

export interface ColumnJson {
  readonly path: string;
  /** As DDL. */
  readonly type: string | undefined;
  /** How it is read as a time; null where it is none. */
  readonly timestamp: string | null;
  /** Records of the sample that have a value there. */
  readonly records: number;
  /** Records of the sample that hold a value the type does not take. */
  readonly misfits: number;
  readonly seen: readonly {
    readonly kind: ValueKind;
    readonly values: number;
    readonly records: number;
    readonly examples: readonly string[];
  }[];
  /** The comment in the pipeline file; empty where every record has one and there is no more to say. */
  readonly evidence: string;
}

export function proposalJson(
  { pipeline, path, text, proposal, observed, sample, trial }: Proposed,
  isWritten: boolean,
): ProposalJson {
  return {
    pipeline,
    path,
    written: isWritten,
    topics: proposal.topics,
    sample: {
      records: sample.records.length,
      cutBy: sample.cutBy ?? null,
      malformed: Object.fromEntries(observed.malformed),
    },
    columns: allColumns(proposal.inferred.fields).map((field) => columnJson(field, proposal.records)),
    leftOut: leftOut(proposal.inferred.fields).map(({ path, note }) => ({ path, why: note })),
    partitionBy: proposal.partitionBy,
    decoded: {
      rows: trial.rows,
      deadLetters: trial.deadLetters,
      tombstones: trial.tombstones,
      expectedDeadLetters: proposal.inferred.misfits,
      reasons: trial.reasons,
      tablePartitions: trial.tablePartitions,
    },
    text,
  };
}

function columnJson(field: InferredField, records: number): ColumnJson {
  const { path, type, timestamp, seen, misfits } = field;
  return {
    path,
    type: type && formatType(type),
    timestamp: timestamp ?? null,
    records: recordsWith(seen).size,
    misfits: misfits.size,
    seen: [...seen.kinds].map(([kind, { count, records, examples }]) => ({
      kind,
      values: count,
      records: records.size,
      examples,
    })),
    evidence: evidence(field, records),
  };
}
