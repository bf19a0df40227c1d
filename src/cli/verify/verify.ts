import type { Context, Verb } from '../../terminal/context.ts';
import type { Output } from '../../terminal/output.ts';

interface VerifyVerbOptions {
  readonly quick?: boolean;
  readonly kafka: boolean;
  readonly kafkaRecords?: boolean;
}

const PROGRESS_EVERY_MS = 500;
const DISAGREES = 4;

export const { register }: Verb = {
  register(command, context) {
    command
      .argument('<pipeline>', 'name of the pipeline')
      .option('--quick', 'only the ledger, sizes and footers: reads neither pages nor rows')
      .option('--no-kafka', 'do not ask Kafka where its topics begin and end')
      .option(
        '--kafka-records',
        'read committed offsets again, as far as Kafka still has them, and compare the counts',
      )
      .addHelpText(
        'after',
        '\nReads the whole table, changes nothing, and needs neither Temporal nor a worker. The exit code is 0 if everything\n' +
          'agrees, and 4 if something does not: docs/verify.md says what each disagreement means.',
      )
      .action((pipeline: string, options: VerifyVerbOptions) => verifyVerb(context, pipeline, options));
  },
};

async function verifyVerb(context: Context, pipeline: string, options: VerifyVerbOptions): Promise<void> {
  const { output } = context;
  const specification = await context.loadPipeline(pipeline);
  const { verifyPipeline } = await import('../../inspect/verify.ts');
  const { describeVerified } = await import('./text.ts');
  const { withScratchFolder } = await import('../../terminal/scratch-folder.ts');
  const result = await withScratchFolder(context, 'verify', (scratchFolder) =>
    verifyPipeline(specification, context, {
      isQuick: options.quick === true,
      kafka: options.kafka ? (options.kafkaRecords ? 'records' : 'topics') : 'none',
      scratchFolder,
      onProgress: everySoOften(output),
    }),
  );
  output.result(result, () => describeVerified(result, output));
  if (result.outcome === 'disagrees') process.exitCode = DISAGREES;
}

/** On a terminal one line that changes, elsewhere a line now and then. */
function everySoOften(output: Output): (text: string) => void {
  const isTerminal = process.stderr.isTTY === true;
  const everyMs = isTerminal ? PROGRESS_EVERY_MS : 10 * PROGRESS_EVERY_MS;
  let shownAtMs = performance.now();
  return (text) => {
    const now = performance.now();
    if (now - shownAtMs < everyMs) return;
    shownAtMs = now;
    output.note(text);
  };
}
