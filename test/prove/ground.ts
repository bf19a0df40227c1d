import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, platform, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { table } from '../../src/cli/output.ts';
import { findOrStartKafka, type KafkaServer } from '../../src/dev/kafka-server.ts';
import { findOrStartTemporal, type TemporalServer } from '../../src/dev/temporal-server.ts';
import { type ReadersEnvironment, readersEnvironment } from '../readers/environment.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface GroundOptions {
  readonly name: string;
  readonly summary: string;
  /** Of everything random in the proof; in its report. */
  readonly seed: number;
  /** The size of the proof, where it has one. */
  readonly records: number;
}

/** What a proof stands on: servers, a folder, and the report that it leaves. */
export class Ground {
  readonly options: GroundOptions;
  readonly kafka: KafkaServer;
  readonly temporal: TemporalServer;
  /** For tables and pipeline files; removed at the end. */
  readonly folder: string;
  failed = 0;
  #lines: string[] = [];
  #claims = 0;
  #startedMs = Date.now();

  static async open(options: GroundOptions): Promise<Ground> {
    const [kafka, temporal] = await Promise.all([findOrStartKafka(), findOrStartTemporal()]);
    const ground = new Ground(
      options,
      kafka,
      temporal,
      await mkdtemp(join(tmpdir(), `tidemark-prove-${options.name}-`)),
    );
    console.log(`${options.name}: seed ${options.seed}, ${options.records} records`);
    return ground;
  }

  constructor(options: GroundOptions, kafka: KafkaServer, temporal: TemporalServer, folder: string) {
    this.options = options;
    this.kafka = kafka;
    this.temporal = temporal;
    this.folder = folder;
  }

  /** The independent readers; a proof that uses them cannot do without. */
  async readers(): Promise<ReadersEnvironment> {
    const found = await readersEnvironment();
    if ('missing' in found) throw new Error(`The independent readers are missing: ${found.missing}`);
    return found;
  }

  /** A line of the report, shown at once. */
  say(line: string): void {
    console.log(line);
    this.#lines.push(line, '');
  }

  /** Rows under headings, in the report and on the screen. */
  table(headings: readonly string[], rows: readonly (readonly string[])[]): void {
    const text = table(headings, rows);
    console.log(text);
    this.#lines.push('```', text, '```', '');
  }

  /** Checks a claim. A false one is reported and fails the proof, which goes on. */
  claim(what: string, holds: boolean, seen = ''): void {
    this.#claims++;
    if (!holds) this.failed++;
    this.say(`${holds ? '✓' : '✗ NOT SO:'} ${what}${seen === '' ? '' : ` (${seen})`}`);
  }

  /** Writes the report and stops the servers. */
  async close(error?: unknown): Promise<void> {
    if (this.#claims === 0) this.claim('something was claimed', false);
    if (error !== undefined)
      this.claim('the proof came to its end', false, error instanceof Error ? error.message : String(error));
    const file = join(ROOT, 'docs', 'proofs', `${this.options.name}.md`);
    await mkdir(join(ROOT, 'docs', 'proofs'), { recursive: true });
    await writeFile(file, [...(await this.#heading()), ...this.#lines].join('\n'));
    await Promise.all([this.kafka.stop(), this.temporal.stop()]);
    await rm(this.folder, { recursive: true, force: true });
    console.log(`${this.#claims - this.failed} of ${this.#claims} claims hold; written to ${file}`);
  }

  async #heading(): Promise<string[]> {
    const { name, summary, seed, records } = this.options;
    const [cpu] = cpus();
    const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'));
    const facts = {
      date: new Date().toISOString(),
      command: `npm run prove -- ${name} --seed ${seed} --records ${records}`,
      code: `tidemark ${version}, commit ${commit()}`,
      machine: `${availableParallelism()} cores ${cpu?.model ?? ''}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${platform()} ${release()}`,
      versions: `Node ${process.versions.node}, Kafka 4.3.0, Temporal CLI 1.5.1 (unless servers were given)`,
      duration: `${Math.round((Date.now() - this.#startedMs) / 1000)} s`,
      outcome: this.failed === 0 ? 'every claim holds' : `${this.failed} claims do NOT hold`,
    };
    const rows = Object.entries(facts).map(([fact, value]) => `| ${fact} | ${value} |`);
    return [`# Proof: ${name}`, '', summary, '', '| | |', '|---|---|', ...rows, ''];
  }
}

function commit(): string {
  try {
    const git = (...args: string[]) => execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).trim();
    return (
      git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain', 'src') === '' ? '' : ' and changes')
    );
  } catch {
    return 'unknown';
  }
}
