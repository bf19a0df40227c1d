/**
 * `npm run bench -- [options]`: Tidemark and what one would use instead drain the same topic from the same
 * broker, in turns. Rows are compared by an independent reader. The last line of `-o json` is one JSON
 * object; `--svg FILE` draws it.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { findOrStartKafka } from '../src/dev/kafka-server.ts';
import { findOrStartTemporal } from '../src/dev/temporal-server.ts';
import { type BenchOptions, DrainBench } from './drain-bench.ts';
import { wholeNumber } from './measured.ts';
import { asTable, drawing, summarize } from './report.ts';
import { SHAPES } from './shapes.ts';

interface Options extends BenchOptions {
  readonly svg?: string;
  readonly output: 'text' | 'json';
}

const options = new Command('npm run bench --')
  .option('--records <n>', 'in the topic', wholeNumber, 1_000_000)
  .option('--rounds <n>', 'of each system', wholeNumber, 5)
  .addOption(
    new Option('--codec <codec>', "the topic's")
      .choices(['none', 'gzip', 'snappy', 'lz4', 'zstd'])
      .default('lz4'),
  )
  .option('--partitions <n>', "the topic's", wholeNumber, 4)
  .option('--workers <n>', 'of Tidemark', wholeNumber, 1)
  .addOption(new Option('--shape <shape>', 'of the records').choices(Object.keys(SHAPES)).default('crawler'))
  .addOption(new Option('--only <systems...>', 'of the three').choices(['tidemark', 'python', 'spark']))
  .option('--svg <file>', 'to draw the result into')
  .addOption(new Option('-o, --output <format>').choices(['text', 'json']).default('text'))
  .parse()
  .opts<Options>();
await main(options);

async function main(options: Options): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-bench-'));
  const starting = [findOrStartKafka(), findOrStartTemporal()] as const;
  try {
    const [kafka, temporal] = await Promise.all(starting);
    const bench = new DrainBench(options, folder, kafka.bootstrapServers, temporal);
    await bench.prepare();
    const summary = summarize({ ...options }, await bench.run());
    if (options.svg !== undefined) await writeFile(options.svg, drawing(summary));
    process.stderr.write(`${asTable(summary)}\n`);
    if (options.output === 'json') process.stdout.write(`${JSON.stringify(summary)}\n`);
  } finally {
    for (const server of await Promise.allSettled(starting))
      if (server.status === 'fulfilled') await server.value.stop();
    await rm(folder, { recursive: true, force: true });
  }
}
