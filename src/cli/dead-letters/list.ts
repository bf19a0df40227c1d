import type { LetterSelection } from '../../inspect/dead-letters.ts';
import type { Context } from '../../terminal/context.ts';

export interface ListOptions extends LetterSelection {
  readonly limit?: number;
}

const LIMIT = 20;

/** With `-o jsonl` all letters as they are read; else counts by reason and place, and the newest letters. */
export async function listVerb(context: Context, pipeline: string, options: ListOptions): Promise<void> {
  const { output } = context;
  const specification = await context.loadPipeline(pipeline);
  const { listLetters, summarizeLetters } = await import('../../inspect/dead-letters.ts');
  const { describeLetters } = await import('./list-text.ts');
  if (output.format === 'jsonl' && options.limit === undefined)
    return await output.stream(await listLetters(specification, context, options));
  const summary = await summarizeLetters(specification, context, options, options.limit ?? LIMIT);
  if (output.format === 'jsonl') return output.rows(summary.letters, () => '');
  output.result(summary, () => describeLetters(summary, pipeline, options.reason, output));
}
