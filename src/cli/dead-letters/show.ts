import { Failure } from '../../errors.ts';
import type { Context } from '../../terminal/context.ts';

/** A letter, byte for byte; several where a topic was accepted again and has the offset a second time. */
export async function showVerb(
  context: Context,
  pipeline: string,
  name: string,
  { value = false }: { readonly value?: boolean },
): Promise<void> {
  const { output } = context;
  const place = parseName(name);
  const specification = await context.loadPipeline(pipeline);
  const { letterJson, readLetters } = await import('../../inspect/dead-letter.ts');
  const { describeLetter } = await import('./show-text.ts');
  const letters = await readLetters(specification, context, place);
  const newest = letters.at(-1);
  if (newest === undefined) throw notFound(pipeline, name);
  if (value) process.stdout.write(newest.value);
  else
    output.rows(letters.map(letterJson), () =>
      letters.map((letter) => describeLetter(letter, output)).join('\n\n'),
    );
}

function parseName(name: string): { topic: string; partition: number; offset: bigint } {
  const [, topic, partition, offset] = /^([^/]+)\/(\d{1,9})\/(\d{1,18})$/.exec(name) ?? [];
  if (topic === undefined || partition === undefined || offset === undefined) {
    throw new Failure(
      'USAGE',
      `A letter is TOPIC/PARTITION/OFFSET, not ${JSON.stringify(name)}.`,
      'For example: crawl.products/0/1234, as `tidemark dead-letters list` shows it.',
    );
  }
  return { topic, partition: Number(partition), offset: BigInt(offset) };
}

function notFound(pipeline: string, name: string): Failure {
  return new Failure(
    'USAGE',
    `There is no dead letter ${name}.`,
    `List them: tidemark dead-letters list ${pipeline}. Letters of a batch that was just committed are published before its drain ends.`,
  );
}
