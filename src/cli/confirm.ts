import { Failure } from '../errors.ts';

/** Asks the person at the terminal. Throws USAGE where nobody is there, CANCELLED where the answer is not yes. */
export async function confirm(pipeline: string): Promise<void> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new Failure(
      'USAGE',
      'Nothing was changed: nobody is here to be asked.',
      'Add --yes if this is meant, or --dry-run to look.',
    );
  }
  const { createInterface } = await import('node:readline/promises');
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const said = await terminal.question('Commit this? Type yes: ');
    if (said.trim() !== 'yes')
      throw new Failure('CANCELLED', 'Nothing was changed.', `Look again: tidemark repair ${pipeline}`);
  } finally {
    terminal.close();
  }
}
