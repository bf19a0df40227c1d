import { InvalidArgumentError } from 'commander';
import type { Verb } from '../../terminal/context.ts';

export const { register }: Verb = {
  register(command, context) {
    command
      .command('list')
      .description('Show what is wrong and how often, then the newest dead letters.')
      .argument('<pipeline>', 'name of the pipeline')
      .option('--open', 'only letters that are not retried yet')
      .option('--reason <reason>', 'only letters with this reason, such as wrongType')
      .option('--limit <n>', 'letters to show; default: 20, with -o jsonl all', wholeNumber)
      .addHelpText(
        'after',
        '\nWith -o json one object: the counts by reason and place, and the letters. With\n' +
          '-o jsonl all letters, one per line, oldest first.',
      )
      .action(async (pipeline: string, options: { open?: boolean; reason?: string; limit?: number }) => {
        const { listVerb } = await import('./list.ts');
        await listVerb(context, pipeline, options);
      });
    command
      .command('show')
      .description('Show everything that is known about one dead letter, and the place of its defect.')
      .argument('<pipeline>', 'name of the pipeline')
      .argument('<letter>', 'TOPIC/PARTITION/OFFSET, as list shows it')
      .option('--value', "write the record's value to stdout as it came, byte for byte, and nothing else")
      .action(async (pipeline: string, letter: string, options: { value?: boolean }) => {
        const { showVerb } = await import('./show.ts');
        await showVerb(context, pipeline, letter, options);
      });
    command
      .command('retry')
      .description(
        'Decode the open dead letters again with the pipeline as it is now: letters that fit become rows.',
      )
      .argument('<pipeline>', 'name of the pipeline')
      .option('--no-wait', 'start or attach, print the workflow id, and return')
      .addHelpText(
        'after',
        '\nA letter becomes a row once, however often you run this. Letters that are still\ndefective stay dead letters.',
      )
      .action(async (pipeline: string, options: { wait: boolean }) => {
        const { retryVerb } = await import('./retry.ts');
        await retryVerb(context, pipeline, options);
      });
  },
};

function wholeNumber(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('It takes a whole number.');
}
