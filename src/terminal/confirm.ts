import { Failure } from '../errors.ts';
import { ask, canAsk } from './ask.ts';

/**
 * Asks the person at the terminal. Throws USAGE where nobody is there, CANCELLED where the answer is not yes.
 */
export async function confirm(pipeline: string): Promise<void> {
  if (!canAsk()) {
    throw new Failure(
      'USAGE',
      'Nothing was changed: without a terminal, nobody can be asked.',
      'Add --yes to commit it, or --dry-run to look.',
    );
  }
  if ((await ask('Commit this? Type yes: ')) === 'yes') return;
  throw new Failure('CANCELLED', 'Nothing was changed.', `Look again: tidemark repair ${pipeline}`);
}
