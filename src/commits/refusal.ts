import { Failure } from '../errors.ts';
import type { Refused } from './batch.ts';
import { PIPELINE_PROPERTY } from './batch.ts';
import type { AppendOnly } from './retention.ts';

/** A refusal as the failure that a user meets: what stands in the way, in which table, what to do. */
export function refusal(
  refused: Refused | AppendOnly | { readonly kind: 'rowsDiffer'; readonly differences: readonly string[] },
  location: string,
  pipeline = 'PIPELINE',
): Failure {
  switch (refused.kind) {
    case 'fenced':
      return new Failure(
        'FENCED',
        `${location}: ${refused.problem}. What this run wrote was not committed.`,
        'Start the run again: it plans upon the table as it is now.',
      );
    case 'notOurs':
      return notOurs(refused.owner, location, pipeline);
    case 'restored':
      return new Failure(
        'TABLE_RESTORED',
        `${location}: version ${refused.tableVersion} is a RESTORE. It took rows back but not the offsets that stand for them, so those rows would never be read again.`,
        `Let the offsets follow the rows: tidemark repair ${pipeline} restore. (Restoring once more does not help: it is a RESTORE as well.)`,
      );
    case 'schemaMismatch':
      return new Failure(
        'TABLE_SCHEMA_MISMATCH',
        [`The columns of the pipeline do not fit the table ${location}:`, ...refused.differences].join(
          '\n  ',
        ),
        'Nothing was committed. Correct the pipeline as said above, or use another location.',
      );
    case 'accountingMismatch':
      return new Failure(
        'ACCOUNTING_MISMATCH',
        [`A batch for ${location} does not add up, and was not committed:`, ...refused.differences].join(
          '\n  ',
        ),
        'This is a bug in Tidemark. Keep the folder _tidemark and the written files, and report it.',
      );
    case 'appendOnly':
      return new Failure(
        'TABLE_UNSUPPORTED',
        `${location}: the table's property delta.appendOnly is true, so no writer may take rows out, and table.retention asks for that.`,
        'Nothing was changed. Remove table.retention, or unset the property with the tool that set it.',
      );
    case 'rowsDiffer':
      return new Failure(
        'COMPACTION_ROWS_DIFFER',
        [
          `A compaction of ${location} would change rows, and was not committed:`,
          ...refused.differences,
        ].join('\n  '),
        'This is a bug in Tidemark, or a file was altered. Keep the written files, and report it.',
      );
  }
}

/** Why the dead-letter table at `location` cannot follow its main table. */
export function publicationFailure(
  { kind, files }: { readonly kind: 'lost' | 'rewritten'; readonly files: readonly string[] },
  location: string,
  pipeline: string,
): Failure {
  const without = `tidemark repair ${pipeline} forget-letters`;
  const names = files.slice(0, 5).join(', ') + (files.length > 5 ? `, and ${files.length - 5} more` : '');
  if (kind === 'lost') {
    return new Failure(
      'DEAD_LETTERS_LOST',
      `${location}: files of dead letters that the table's log names are gone or altered: ${names}.`,
      `Nothing was changed, and no batch is read before this is decided. Restore them from a backup; look who deletes files there that no version names yet. To go on without them: ${without}.`,
    );
  }
  return new Failure(
    'REPAIR_REFUSED',
    `${location}: a repair withdraws dead letters, but the table was rewritten since they were published: ${names}.`,
    `Nothing was changed. Restore the dead-letter table to a version from before it was rewritten. To go on and leave them in it: ${without}.`,
  );
}

function notOurs(owner: string | undefined, location: string, pipeline: string): Failure {
  const whose = owner === undefined ? 'was not made by Tidemark' : `belongs to the pipeline ${owner}`;
  return new Failure(
    'TABLE_NOT_OURS',
    `The table ${location} ${whose} (its property ${PIPELINE_PROPERTY}). Nothing was changed.`,
    owner === undefined
      ? `Use another table.location, or let the pipeline write to it: tidemark repair ${pipeline} adopt.`
      : `Use another table.location. If the pipeline was renamed, let it go on where ${owner} ended: tidemark repair ${pipeline} adopt.`,
  );
}
