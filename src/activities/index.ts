import { beginRetry } from './begin-retry.ts';
import { cleanUp } from './clean-up.ts';
import { commitBatch } from './commit-batch.ts';
import { commitCompaction } from './commit-compaction.ts';
import { commitRetry } from './commit-retry.ts';
import { commitVacuum } from './commit-vacuum.ts';
import { deleteGarbage } from './delete-garbage.ts';
import type { Dependencies } from './dependencies.ts';
import { dropOldPartitions } from './drop-old-partitions.ts';
import { atEdge, withHeartbeats } from './failure-mapping.ts';
import { findGarbage } from './find-garbage.ts';
import { makeReceipt } from './make-receipt.ts';
import { planCompaction } from './plan-compaction.ts';
import { planDrain } from './plan-drain.ts';
import { planRetry } from './plan-retry.ts';
import { planVacuum } from './plan-vacuum.ts';
import { publishDeadLetters } from './publish-dead-letters.ts';
import { publishGroupOffsets } from './publish-group-offsets.ts';
import { resolveGoal } from './resolve-goal.ts';
import { retryLetters } from './retry-letters.ts';
import { rewriteFiles } from './rewrite-files.ts';
import { writeFiles } from './write-files.ts';

/** Their work is in a thread or process of its own, whose signs of life they pass on. */
const HEAVY = { writeFiles, rewriteFiles, retryLetters };

/** Names as histories and the Temporal UI show them. */
const ACTIVITIES = {
  ...HEAVY,
  resolveGoal,
  planDrain,
  commitBatch,
  publishDeadLetters,
  makeReceipt,
  publishGroupOffsets,
  planCompaction,
  commitCompaction,
  beginRetry,
  planRetry,
  commitRetry,
  planVacuum,
  dropOldPartitions,
  commitVacuum,
  findGarbage,
  deleteGarbage,
  cleanUp,
};

type Handed<F> = F extends (dependencies: Dependencies, input: infer I) => Promise<infer O>
  ? (input: I) => Promise<O>
  : never;

export type Activities = { [Name in keyof typeof ACTIVITIES]: Handed<(typeof ACTIVITIES)[Name]> };

/** All activities with the outside world handed in, heartbeats, and their failures mapped. */
export function createActivities(dependencies: Dependencies): Activities {
  const handed = Object.entries(ACTIVITIES).map(([name, activity]) => {
    const work = (input: never) =>
      (activity as (d: Dependencies, i: never) => Promise<unknown>)(dependencies, input);
    return [name, atEdge(name in HEAVY ? work : withHeartbeats(work))];
  });
  return Object.fromEntries(handed) as Activities;
}
