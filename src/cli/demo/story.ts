import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { CRAWL_SCHEMA, type CrawlOptions, produceCrawl } from '../../dev/crawler.ts';
import { findOrStartKafka, type KafkaServer } from '../../dev/kafka-server.ts';
import { lastLines, ServerProcess } from '../../dev/server-process.ts';
import { findOrStartTemporal, type TemporalServer } from '../../dev/temporal-server.ts';
import { entryFile } from '../../entry.ts';
import { formatBytes, formatCount, formatDuration } from '../../format.ts';
import { type Output, table } from '../../terminal/output.ts';

const CLI = entryFile(import.meta.url, '../main');
const WORKER_START_TIMEOUT_MS = 60_000;
const FULL_CRAWLS = {
  partitions: 4,
  records: 60_000,
  crawl: { kind: 'full', runs: 4 },
  codec: 'zstd',
  seed: 1,
} as const;
const INCREMENTAL_CRAWL = {
  partitions: 2,
  records: 10_000,
  crawl: { kind: 'incremental', items: 15_000, day: 4 },
  codec: 'gzip',
  seed: 2,
} as const;

/**
 * The whole way with made-up crawls. Every step is the command that a user would type, in a process of its
 * own, so that what is shown is what one gets.
 */
export class Demo {
  readonly #output: Output;
  readonly #environment: Readonly<Record<string, string | undefined>>;
  readonly #startedMs = Date.now();
  #starting: [Promise<KafkaServer>, Promise<TemporalServer>] | undefined;
  #worker: ServerProcess | undefined;
  #folder: string | undefined;
  /** Of names, where servers are not ours alone. */
  #suffix = '';

  constructor(output: Output, environment: Readonly<Record<string, string | undefined>>) {
    this.#output = output;
    this.#environment = environment;
  }

  /** @returns the exit code: 0, or that of the step that failed */
  async run(): Promise<number> {
    const { kafka, temporal } = await this.#startServers();
    const folder = await mkdtemp(join(tmpdir(), 'tidemark-demo-'));
    this.#folder = folder;
    const pipeline = `products${this.#suffix}`;
    const topics = [`crawl.${pipeline}.full`, `crawl.${pipeline}.delta`] as const;
    const env = {
      KAFKA_BROKERS: kafka.bootstrapServers,
      TEMPORAL_ADDRESS: temporal.address,
      TEMPORAL_NAMESPACE: temporal.namespace,
      TIDEMARK_PIPELINES: folder,
    };
    await this.#writePipeline(folder, pipeline, topics);
    const brokers = kafka.bootstrapServers;
    const command = (...args: string[]) => this.#command(args, env);

    this.#title('Crawlers put JSON into Kafka: four full crawls, and an incremental one');
    const workerReady = this.#startWorker(folder, env);
    workerReady.catch(() => {});
    await this.#crawl(brokers, { ...FULL_CRAWLS, topic: topics[0] });
    await this.#crawl(brokers, { ...INCREMENTAL_CRAWL, topic: topics[1] });
    await workerReady;

    this.#title('A worker is running. The first drain takes everything up to the current log ends');
    let exitCode = await command('drain', pipeline);
    this.#title('The crawlers continue. The next drain takes only the new records');
    for (const seed of [3, 4, 5]) {
      await this.#crawl(brokers, {
        ...INCREMENTAL_CRAWL,
        topic: topics[1],
        records: 3_000,
        seed,
      });
      exitCode ||= await command('drain', pipeline);
    }
    this.#title('Each drain has left small files. Compaction merges them into one per day');
    exitCode ||= await this.#showFiles(pipeline, env);
    exitCode ||= await command('compact', pipeline, '--target-files', '1');
    exitCode ||= await this.#showFiles(pipeline, env);
    this.#title('Query the table, here with SQL; Spark, Polars, Trino and others read it through its log');
    exitCode ||= await command('query', pipeline, questionAbout(pipeline));
    if (exitCode === 0) await this.#end(folder, pipeline, temporal);
    else this.#output.note(`\nThe end of the worker's log:\n${lastLines(join(folder, 'worker.log'), 10)}`);
    return exitCode;
  }

  /** Ends all that the demo has started, at whatever point it is. */
  async close(): Promise<void> {
    await this.#worker?.end();
    for (const server of await Promise.allSettled(this.#starting ?? [])) {
      if (server.status === 'fulfilled') await server.value.stop();
    }
    if (this.#folder !== undefined) await rm(this.#folder, { recursive: true, force: true });
  }

  async #startServers(): Promise<{ kafka: KafkaServer; temporal: TemporalServer }> {
    this.#title('A Kafka and a Temporal server');
    const report = (line: string) => this.#output.note(line);
    this.#starting = [findOrStartKafka({ report }), findOrStartTemporal({ report })];
    const [kafka, temporal] = await Promise.all(this.#starting);
    if (kafka.nodes.length === 0 || temporal.pid === undefined)
      this.#suffix = `-${randomBytes(3).toString('hex')}`;
    this.#say(
      `Kafka ${kafka.bootstrapServers}, Temporal ${temporal.address}, its UI ${temporal.uiUrl ?? 'where you have it'}`,
    );
    return { kafka, temporal };
  }

  async #writePipeline(folder: string, name: string, topics: readonly string[]): Promise<void> {
    const yaml = `source:
  bootstrapServers: \${KAFKA_BROKERS}
  subscribe: [${topics.join(', ')}]
records:
  format: json
  mode: failFast
  schema: |
${CRAWL_SCHEMA.replaceAll(/^/gm, '    ')}
  timestamps: {crawl_ts: epochMillis}
table:
  location: ./tables/${name}
  partitionBy: ["day(crawl_ts)"]
limits: {maxOffsetsPerBatch: 40000}
`;
    await writeFile(join(folder, `${name}.yaml`), yaml);
    this.#title(`The pipeline ${name}.yaml names the topics, the schema and the table`);
    this.#say(yaml.trimEnd());
  }

  async #startWorker(folder: string, env: Readonly<Record<string, string>>): Promise<void> {
    const logFile = join(folder, 'worker.log');
    this.#worker = new ServerProcess({
      name: 'The worker',
      command: process.execPath,
      args: [CLI, 'worker'],
      env,
      logFile,
      endSignal: 'SIGTERM',
    });
    const isReady = async () => (await readFile(logFile, 'utf8')).includes('Worker ready');
    await this.#worker.start(isReady, WORKER_START_TIMEOUT_MS);
  }

  async #crawl(brokers: string, options: CrawlOptions): Promise<void> {
    const { topic, records, partitions, codec, crawl } = options;
    const { bytes } = await produceCrawl(brokers, options);
    const what = crawl.kind === 'full' ? `${crawl.runs} full crawls` : 'an incremental crawl';
    this.#say(
      `${topic}: ${what}, ${formatCount(records)} records, ${formatBytes(bytes)}, ${partitions} partitions, ${codec}`,
    );
  }

  /** Runs `tidemark ...` before the eyes of the user. @returns its exit code */
  async #command(args: readonly string[], env: Readonly<Record<string, string>>): Promise<number> {
    const typed = args.map((arg) => (/^[\w.-]+$/.test(arg) ? arg : `'${arg}'`)).join(' ');
    this.#say(this.#output.style('cyan', `$ tidemark ${typed}`));
    const child = spawn(process.execPath, [CLI, ...args], {
      stdio: 'inherit',
      env: { ...this.#environment, ...env },
    });
    const [exitCode] = await once(child, 'exit');
    return exitCode ?? 1;
  }

  async #showFiles(pipeline: string, env: Readonly<Record<string, string>>): Promise<number> {
    this.#say(this.#output.style('cyan', `$ tidemark files ${pipeline} -o json`));
    const child = spawn(process.execPath, [CLI, 'files', pipeline, '-o', 'json'], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...this.#environment, ...env },
    });
    let json = '';
    child.stdout.setEncoding('utf8').on('data', (text) => (json += text));
    const [exitCode] = await once(child, 'close');
    if (exitCode === 0) this.#say(describeFiles(JSON.parse(json)));
    return exitCode ?? 1;
  }

  async #end(folder: string, pipeline: string, temporal: TemporalServer): Promise<void> {
    this.#title(`That was ${formatDuration(Date.now() - this.#startedMs)}`);
    if (temporal.uiUrl)
      this.#say(`Every step as Temporal saw it: ${this.#output.style('cyan', temporal.uiUrl)}`);
    if (process.stdin.isTTY && process.stdout.isTTY) {
      this.#say(`The table: ${join(folder, 'tables', pipeline)}`);
      const lines = createInterface({ input: process.stdin, output: process.stdout });
      // Ctrl-C at a prompt is readline's, not the process's.
      lines.on('SIGINT', () => process.kill(process.pid, 'SIGINT'));
      await lines.question('Enter stops the servers and removes the table. ');
      lines.close();
    }
    await this.#worker?.kill('SIGTERM');
    this.#say(lastLines(join(folder, 'worker.log'), 1).trim());
  }

  #title(text: string): void {
    process.stdout.write(`\n${this.#output.style('bold', text)}\n`);
  }

  #say(text: string): void {
    process.stdout.write(`${text}\n`);
  }
}

interface ListedFile {
  readonly sizeBytes: number;
  readonly rows: number;
  readonly partitionValues: Readonly<Record<string, string | null>>;
}

function describeFiles(files: readonly ListedFile[]): string {
  const days = Map.groupBy(files, ({ partitionValues }) => partitionValues.crawl_ts_day ?? 'null');
  const rows = [...days]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([day, of]) => [
      day,
      formatCount(of.length),
      formatCount(of.reduce((sum, file) => sum + file.rows, 0)),
      formatBytes(of.reduce((sum, file) => sum + file.sizeBytes, 0)),
    ]);
  const headings = ['crawl_ts_day', 'files', 'rows', 'bytes'];
  return `${table(headings, rows, headings.slice(1))}\n${formatCount(files.length)} files`;
}

function questionAbout(pipeline: string): string {
  const columns = [
    'crawl_ts_day',
    'count(*) AS pages',
    'count(DISTINCT id) AS items',
    'round(avg(price), 2) AS mean_price',
  ];
  const position = '(_topic, _partition, _offset)';
  return `SELECT ${columns.join(', ')}, count(*) - count(DISTINCT ${position}) AS doubled FROM "${pipeline}" GROUP BY ALL ORDER BY ALL`;
}
