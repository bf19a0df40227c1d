import type { Snapshot } from '../delta/snapshot.ts';
import { withSource } from '../kafka/connect-source.ts';
import type { Specification } from '../pipeline/specification.ts';
import { type OpenTable, openTable } from '../runs/open-table.ts';
import type { Outside } from '../runs/outside.ts';
import { seenTable } from './answers.ts';
import { diagnoseTable, diagnoseTopics, existingTopics, type Finding } from './diagnosis.ts';
import { diagnoseLetters } from './letters.ts';

export interface Diagnosis {
  readonly pipeline: string;
  readonly location: string;
  /** -1 where there is no table yet. */
  readonly tableVersion: number;
  /** Decimal; null where there is no table yet. */
  readonly epoch: string | null;
  /**
   * Of the table alone, else of its dead letters, else between table and Kafka: what is first has to be
   * answered first.
   */
  readonly findings: readonly Finding[];
}

/** What a drain of this pipeline would refuse to decide. Changes nothing. Throws KAFKA_UNREACHABLE. */
export async function diagnosePipeline(specification: Specification, outside: Outside): Promise<Diagnosis> {
  const opened = openTable(specification, outside);
  const snapshot = await opened.log.snapshot();
  return {
    pipeline: specification.name,
    location: specification.table.location,
    tableVersion: snapshot?.tableVersion ?? -1,
    epoch: snapshot === undefined ? null : String(seenTable(snapshot).epoch),
    findings: snapshot === undefined ? [] : await findingsOf(opened, snapshot, specification),
  };
}

async function findingsOf(
  opened: OpenTable,
  snapshot: Snapshot,
  specification: Specification,
): Promise<Finding[]> {
  const ofTable = diagnoseTable(snapshot, specification);
  if (ofTable.length > 0) return ofTable;
  const ofLetters = await diagnoseLetters(opened, specification);
  if (ofLetters.length > 0) return ofLetters;
  const { environment } = opened.outside;
  return await withSource(specification.source, { environment }, async (kafka) =>
    diagnoseTopics(snapshot, specification, await existingTopics(kafka, specification.source)),
  );
}
