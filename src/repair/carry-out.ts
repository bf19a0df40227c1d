import { randomUUID } from 'node:crypto';
import { commit } from '../commits/commit.ts';
import { type Answer, REPAIR, type Repair, type RepairRecord } from '../commits/repair.ts';
import type { Snapshot } from '../delta/snapshot.ts';
import { Failure } from '../errors.ts';
import { withSource } from '../kafka/connect-source.ts';
import type { Specification } from '../pipeline/specification.ts';
import type { OpenTable } from '../runs/open-table.ts';
import {
  type AcceptOptions,
  type Answered,
  type AnsweredChange,
  adopt,
  answerAccept,
  answerRestore,
  answerSkip,
} from './answered.ts';
import { seenTable } from './answers.ts';

/** A person's answer, and what it is about. */
export interface GivenAnswer extends AcceptOptions {
  readonly answer: Answer;
  /** Of accept-topic, TOPIC; of skip-lost, TOPIC or TOPIC/PARTITION, undefined for all. */
  readonly topic: string | undefined;
}

/** Works out what an answer would commit and hands it to `go`, while Kafka, where asked, is connected. */
export async function withAnswer(
  { log, outside: { environment } }: OpenTable,
  snapshot: Snapshot,
  specification: Specification,
  { answer, topic, ...options }: GivenAnswer,
  go: (answered: Answered) => Promise<void>,
): Promise<void> {
  switch (answer) {
    case 'adopt':
      return await go(adopt(snapshot, specification));
    case 'restore':
      return await go(await answerRestore(log, snapshot, specification));
    case 'accept-topic':
      return await withSource(specification.source, { environment }, async (kafka) =>
        go(await answerAccept(kafka, snapshot, specification, topic ?? '', options)),
      );
    case 'skip-lost':
      return await withSource(specification.source, { environment }, async (kafka) =>
        go(await answerSkip(kafka, snapshot, specification, topic)),
      );
  }
}

/**
 * Looks again, and commits an answer on exactly the table that was shown. Throws REPAIR_REFUSED where the
 * table or Kafka has changed, TABLE_SCHEMA_MISMATCH where an adopted table does not have the pipeline's
 * columns.
 */
export async function commitAnswer(
  { log }: OpenTable,
  snapshot: Snapshot,
  { name: pipeline }: Specification,
  { stillSo, repair }: AnsweredChange,
  said: Pick<Repair, 'answer' | 'who' | 'reason'>,
): Promise<RepairRecord> {
  await stillSo?.();
  const seen = seenTable(snapshot);
  const change: Repair = { ...said, batchId: randomUUID(), pipeline, seen, ...repair };
  const outcome = await commit(log, REPAIR, change);
  if (outcome.kind === 'changed') throw changed(pipeline, outcome.differences);
  return outcome.record;
}

function changed(pipeline: string, differences: readonly string[]): Failure {
  return new Failure(
    'REPAIR_REFUSED',
    ['The table is no longer what was shown; nothing was changed:', ...differences].join('\n  '),
    `Look again: tidemark repair ${pipeline}`,
  );
}
