import { Context } from '@temporalio/activity';
import {
  findGarbage as findGarbageFiles,
  type Garbage,
  type KeptFiles,
  neededFiles,
} from '../commits/garbage.ts';
import { cutOffOf } from '../commits/pipeline-state.ts';
import { findUnpublished } from '../commits/publish.ts';
import { type Reference, type Run, TASK_QUEUE } from '../contract.ts';
import { assert } from '../errors.ts';
import { deadLettersLocation } from '../records/dead-letters.ts';
import { storeReference } from '../runs/references.ts';
import type { ObjectEntry } from '../storage/object-store.ts';
import type { VacuumStepInput } from './commit-vacuum.ts';
import type { Dependencies } from './dependencies.ts';

export interface FindGarbageInput extends VacuumStepInput {
  /** Before the cut-off is committed, only to tell what would be deleted. */
  readonly dryRun: boolean;
}

export interface FindGarbageResult {
  readonly tableVersion: number;
  readonly table: FoundGarbage;
  /** Absent where there is no dead-letter table. */
  readonly deadLetters?: FoundGarbage;
  readonly documents: { readonly files: number; readonly bytes: number };
  readonly lists: readonly GarbageList[];
}

export interface FoundGarbage {
  readonly location: string;
  readonly files: number;
  readonly bytes: number;
  readonly kept: KeptFiles;
}

/** So many files as are deleted in one step. */
export interface GarbageList {
  readonly location: string;
  readonly reference: Reference;
  readonly files: number;
  readonly bytes: number;
  readonly summary: string;
}

/** Behind `GarbageList.reference`. */
export interface GarbageDocument {
  /** In the store at the list's location. */
  readonly files: readonly { readonly path: string; readonly sizeBytes: number }[];
}

const LIST_FILES_MAX = 10_000;

/**
 * Chooses what the vacuum deletes, from the newest versions of both tables as they are now, after the
 * cut-off.
 *
 * Changes nothing but its own lists, so it may run any number of times.
 */
export async function findGarbage(
  dependencies: Dependencies,
  { run, plan, dryRun }: FindGarbageInput,
): Promise<FindGarbageResult> {
  const { cutOffMs } = plan;
  const main = dependencies.openLog(run.table);
  const lettersLocation = deadLettersLocation(run.table);
  const letters = dependencies.openLog(lettersLocation);
  const snapshot = await main.snapshot();
  assert(
    dryRun || (snapshot !== undefined && (cutOffOf(snapshot) ?? 0) >= cutOffMs),
    'the cut-off is in force before anything is chosen',
  );
  const { files: carried } = await findUnpublished(letters, main, run.pipeline);

  const entries = await dependencies.openStore(run.table).list('');
  const ofTable = findGarbageFiles(
    entries,
    { ...(await neededFiles(main, cutOffMs)), carried: new Set() },
    cutOffMs,
  );
  // Without a dead-letter table, no file in its folder is known to be garbage.
  const hasLetters = (await letters.snapshot()) !== undefined;
  const ofLetters = findGarbageFiles(
    hasLetters ? await dependencies.openStore(lettersLocation).list('') : [],
    { ...(await neededFiles(letters, cutOffMs)), carried },
    cutOffMs,
  );
  const isBeside = run.documents === run.table;
  const documents = await oldDocuments(
    isBeside ? entries : await dependencies.openStore(run.documents).list('_tidemark/'),
    cutOffMs,
  );
  const lists = [
    ...(await storeLists(dependencies, run, run.table, [...ofTable.garbage, ...(isBeside ? documents : [])])),
    ...(await storeLists(dependencies, run, lettersLocation, ofLetters.garbage)),
    ...(await storeLists(dependencies, run, run.documents, isBeside ? [] : documents)),
  ];
  return {
    tableVersion: snapshot?.tableVersion ?? plan.tableVersion,
    table: found(run.table, ofTable),
    ...(hasLetters && { deadLetters: found(lettersLocation, ofLetters) }),
    documents: { files: documents.length, bytes: bytesOf(documents) },
    lists,
  };
}

/**
 * Documents of runs that are over and have written none since the cut-off. An open run needs its own, however
 * long it is paused; where Temporal does not say which are open, all stay.
 */
async function oldDocuments(entries: readonly ObjectEntry[], cutOffMs: number): Promise<ObjectEntry[]> {
  const byRun = new Map<string, ObjectEntry[]>();
  for (const entry of entries) {
    const run = /^_tidemark\/runs\/([^/]+)\//.exec(entry.path)?.[1];
    if (run === undefined) continue;
    const documents = byRun.get(run) ?? [];
    documents.push(entry);
    byRun.set(run, documents);
  }
  const old = [...byRun].filter(([, documents]) =>
    documents.every(({ modifiedMs }) => modifiedMs < cutOffMs),
  );
  if (old.length === 0) return [];
  const isOpen = await openRuns();
  return old.filter(([run]) => !isOpen(run)).flatMap(([, documents]) => documents);
}

/**
 * Whether a run may be open, by its folder's name: workflow id and, behind a dot, first run id. All may where
 * this worker may not ask, or an older server does not say which run was a run's first.
 */
async function openRuns(): Promise<(run: string) => boolean> {
  const { workflow } = Context.current().client;
  const runs = new Set<string>();
  try {
    const query = `ExecutionStatus = 'Running' AND TaskQueue = '${TASK_QUEUE}'`;
    for await (const { workflowId } of workflow.list({ query })) {
      const { raw } = await workflow.getHandle(workflowId).describe();
      const firstRunId = raw.workflowExecutionInfo?.firstRunId;
      if (!firstRunId) return () => true;
      runs.add(`${workflowId}.${firstRunId}`);
    }
  } catch {
    return () => true;
  }
  return (run) => runs.has(run);
}

async function storeLists(
  dependencies: Dependencies,
  run: Run,
  location: string,
  garbage: readonly ObjectEntry[],
): Promise<GarbageList[]> {
  const lists: GarbageList[] = [];
  for (let at = 0; at < garbage.length; at += LIST_FILES_MAX) {
    const part = garbage.slice(at, at + LIST_FILES_MAX);
    const document: GarbageDocument = { files: part.map(({ path, sizeBytes }) => ({ path, sizeBytes })) };
    const bytes = bytesOf(part);
    lists.push({
      location,
      reference: await storeReference(
        dependencies.openStore(run.documents),
        `runs/${run.id}/garbage`,
        document,
      ),
      files: part.length,
      bytes,
      summary: `${part.length} files (${(bytes / 1024 ** 2).toFixed(1)} MiB) of ${location}`.slice(0, 200),
    });
  }
  return lists;
}

function found(location: string, { garbage, kept }: Garbage): FoundGarbage {
  return { location, files: garbage.length, bytes: bytesOf(garbage), kept };
}

function bytesOf(entries: readonly ObjectEntry[]): number {
  return entries.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}
