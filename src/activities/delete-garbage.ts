import { Context } from '@temporalio/activity';
import type { Run } from '../contract.ts';
import { assert } from '../errors.ts';
import { inLanes } from '../lanes.ts';
import { loadReference } from '../runs/references.ts';
import type { Dependencies } from './dependencies.ts';
import type { GarbageDocument, GarbageList } from './find-garbage.ts';

export interface DeleteGarbageInput {
  readonly run: Run;
  readonly list: GarbageList;
}

/** So many as are deleted before the next look whether the run was cancelled. */
const DELETES_AT_ONCE = 16;

/**
 * Deletes the files of one list. A file that is gone already is not an error, so a retry continues. No file
 * of the list can come into the table again, since the cut-off is committed.
 */
export async function deleteGarbage(
  dependencies: Dependencies,
  { run, list }: DeleteGarbageInput,
): Promise<void> {
  const { cancellationSignal } = Context.current();
  const document = await loadReference<GarbageDocument>(
    dependencies.openStore(run.documents),
    list.reference,
  );
  // Others may bring a file back by a RESTORE after it was chosen.
  const live = (await dependencies.openLog(list.location).snapshot())?.files;
  const store = dependencies.openStore(list.location);
  await inLanes(document.files, DELETES_AT_ONCE, async ({ path }) => {
    cancellationSignal.throwIfAborted();
    assert(!path.startsWith('_delta_log/'), 'the log is for the clean-up');
    if (live?.has(path) !== true) await store.delete(path);
  });
}
