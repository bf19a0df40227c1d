import { Failure } from '../errors.ts';
import { PIPELINE_PROPERTY } from './pipeline-state.ts';

/** Why a change is not committed, and no new plan helps: only a person, or other circumstances, can go on. */
export type Refused =
  | { readonly kind: 'fenced'; readonly problem: string }
  | { readonly kind: 'notOurs'; readonly owner: string | undefined }
  | { readonly kind: 'restored'; readonly tableVersion: number }
  | { readonly kind: 'schemaMismatch'; readonly differences: readonly string[] }
  | { readonly kind: 'accountingMismatch'; readonly differences: readonly string[] }
  /** Of a compaction. */
  | { readonly kind: 'rowsDiffer'; readonly differences: readonly string[] }
  /** Of a retention: by the property `delta.appendOnly` no writer may take rows out. */
  | { readonly kind: 'appendOnly' }
  /** Of a publication: carried files that are gone or altered. */
  | { readonly kind: 'lost'; readonly files: readonly string[] }
  /**
   * Of a publication: a repair withdraws letters whose files the dead-letter table no longer has as they were
   * published.
   */
  | { readonly kind: 'rewritten'; readonly files: readonly string[] };

type Kind = Refused['kind'];
type Failures = {
  readonly [K in Kind]: (
    refused: Extract<Refused, { kind: K }>,
    location: string,
    pipeline: string,
  ) => Failure;
};

/** A refusal as the failure that a user meets: what stands in the way, in which table, what to do. */
export function refusal(refused: Refused, location: string, pipeline = 'PIPELINE'): Failure {
  const failureOf = FAILURES[refused.kind] as (...of: [Refused, string, string]) => Failure;
  return failureOf(refused, location, pipeline);
}

export function isRefused(decision: { readonly kind: string }): decision is Refused {
  return Object.hasOwn(FAILURES, decision.kind);
}

const FAILURES: Failures = {
  fenced: ({ problem }, location) =>
    new Failure(
      'FENCED',
      `${location}: ${problem}. This step of the run committed nothing.`,
      'Start the run again: it then plans from the table as it is now.',
    ),
  notOurs: ({ owner }, location, pipeline) => {
    const whose = owner === undefined ? 'was not made by Tidemark' : `belongs to the pipeline ${owner}`;
    return new Failure(
      'TABLE_NOT_OURS',
      `The table ${location} ${whose} (its property ${PIPELINE_PROPERTY}). Nothing was changed.`,
      owner === undefined
        ? `Use another table.location, or let the pipeline write to it: tidemark repair ${pipeline} adopt.`
        : `Use another table.location. If the pipeline was renamed, let it go on where ${owner} ended: tidemark repair ${pipeline} adopt.`,
    );
  },
  restored: ({ tableVersion }, location, pipeline) =>
    new Failure(
      'TABLE_RESTORED',
      `${location}: version ${tableVersion} is a RESTORE. It took rows back but not the offsets that stand for them, so those rows would never be read again.`,
      `Let the offsets follow the rows: tidemark repair ${pipeline} restore. (Another RESTORE does not help: it has the same problem.)`,
    ),
  schemaMismatch: ({ differences }, location) =>
    new Failure(
      'TABLE_SCHEMA_MISMATCH',
      [`The columns of the pipeline do not fit the table ${location}:`, ...differences].join('\n  '),
      'Nothing was committed. Correct the pipeline as described above, or use another location.',
    ),
  accountingMismatch: ({ differences }, location) =>
    new Failure(
      'ACCOUNTING_MISMATCH',
      [`A batch for ${location} does not add up, and was not committed:`, ...differences].join('\n  '),
      'This is a bug in Tidemark. Keep the folder _tidemark and the written files, and report it.',
    ),
  rowsDiffer: ({ differences }, location) =>
    new Failure(
      'COMPACTION_ROWS_DIFFER',
      [`A compaction of ${location} would change rows, and was not committed:`, ...differences].join('\n  '),
      'This is a bug in Tidemark, or a file was altered. Keep the written files, and report it.',
    ),
  appendOnly: (_, location) =>
    new Failure(
      'TABLE_UNSUPPORTED',
      `${location}: the table's property delta.appendOnly is true, so no writer may remove rows, and table.retention asks for that.`,
      'Nothing was changed. Remove table.retention, or unset the property with the tool that set it.',
    ),
  lost: ({ files }, location, pipeline) =>
    new Failure(
      'DEAD_LETTERS_LOST',
      `${location}: files of dead letters that the table's log names are gone or altered: ${firstOf(files)}.`,
      `Nothing was changed, and no batch is read until you decide this. Restore them from a backup, and find out who deletes files there that no version names yet. To continue without them: ${forget(pipeline)}.`,
    ),
  rewritten: ({ files }, location, pipeline) =>
    new Failure(
      'REPAIR_REFUSED',
      `${location}: a repair withdraws dead letters, but the table was rewritten since they were published: ${firstOf(files)}.`,
      `Nothing was changed. Restore the dead-letter table to a version from before it was rewritten. To continue and leave them in it: ${forget(pipeline)}.`,
    ),
};

function firstOf(files: readonly string[]): string {
  return files.slice(0, 5).join(', ') + (files.length > 5 ? `, and ${files.length - 5} more` : '');
}

function forget(pipeline: string): string {
  return `tidemark repair ${pipeline} forget-letters`;
}
