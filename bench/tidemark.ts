import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { Tidemark } from '../src/client.ts';
import type { CompactInput, CompactionReceipt, Receipt } from '../src/contract.ts';
import { ServerProcess } from '../src/dev/server-process.ts';
import { cpuSecondsOf, type Measured, MemoryWatch } from './measured.ts';

const CLI = join(import.meta.dirname, '../src/cli/main.ts');
const READY_WITHIN_MS = 60_000;

export interface TidemarkOptions {
  readonly brokers: string;
  readonly temporal: { readonly address: string; readonly namespace: string };
  /** For the pipeline file and the workers' logs. */
  readonly folder: string;
  /** How many of its own, or whose. */
  readonly workers: number | TidemarkRun;
  /** Threads of each worker. Default: one per core. */
  readonly heavyTasks?: number;
}

/** A pipeline and fresh workers for it, as a user starts them. */
export class TidemarkRun {
  readonly name: string;
  readonly table: string;
  readonly #options: TidemarkOptions;
  readonly #workers: ServerProcess[];
  #connection: Connection | undefined;

  constructor(name: string, options: TidemarkOptions) {
    this.name = name;
    this.table = join(options.folder, name);
    this.#options = options;
    this.#workers = typeof options.workers === 'number' ? [] : options.workers.#workers;
  }

  /** @returns seconds until all workers were ready */
  async start(pipeline: Readonly<Record<string, unknown>>): Promise<number> {
    const { folder, workers, temporal } = this.#options;
    await writeFile(join(folder, `${this.name}.yaml`), JSON.stringify(pipeline));
    const startedMs = performance.now();
    const own = typeof workers === 'number' ? workers : 0;
    await Promise.all(Array.from({ length: own }, (_, index) => this.#startWorker(index)));
    this.#connection = await Connection.connect({ address: temporal.address });
    return (performance.now() - startedMs) / 1000;
  }

  /** The whole way: Temporal, goal, plan, write, commit. */
  async drain(): Promise<Measured & { readonly receipt: Receipt }> {
    const { receipt, ...measured } = await this.#measure((tidemark) => tidemark.drain(this.name));
    if (receipt.outcome !== 'complete') throw new Error(`the drain ended ${receipt.outcome}`);
    const { rows, bytes } = receipt.totals;
    return { ...measured, rows, bytesWritten: bytes, receipt };
  }

  async compact(
    how: Pick<CompactInput, 'targetFiles'>,
  ): Promise<Omit<Measured, 'rows' | 'bytesWritten'> & { readonly receipt: CompactionReceipt }> {
    return await this.#measure((tidemark) => tidemark.compact({ pipeline: this.name, ...how }));
  }

  async stop(): Promise<void> {
    await this.#connection?.close();
    if (typeof this.#options.workers === 'number')
      await Promise.all(this.#workers.map((worker) => worker.end()));
  }

  async #measure<R>(work: (tidemark: Tidemark) => Promise<R>) {
    const { namespace } = this.#options.temporal;
    const connection = this.#connection as Connection;
    const tidemark = new Tidemark(new Client({ connection, namespace }));
    const pids = this.#workers.map(({ pid }) => pid as number);
    const cpu = () => pids.reduce((sum, pid) => sum + cpuSecondsOf(pid), 0);
    const memory = new MemoryWatch(pids);
    try {
      const [startedMs, cpuBefore] = [performance.now(), cpu()];
      const receipt = await work(tidemark);
      const seconds = (performance.now() - startedMs) / 1000;
      return { receipt, seconds, cpuSeconds: cpu() - cpuBefore, peakMemoryMiB: memory.stop() };
    } finally {
      memory.stop();
    }
  }

  async #startWorker(index: number): Promise<void> {
    const { brokers, temporal, folder, heavyTasks } = this.#options;
    const logFile = join(folder, `${this.name}-${Date.now()}-worker-${index}.log`);
    const worker = new ServerProcess({
      name: 'The worker',
      command: process.execPath,
      args: [CLI, 'worker', ...(heavyTasks === undefined ? [] : ['--heavy-tasks', String(heavyTasks)])],
      env: {
        KAFKA_BROKERS: brokers,
        TEMPORAL_ADDRESS: temporal.address,
        TEMPORAL_NAMESPACE: temporal.namespace,
        TIDEMARK_PIPELINES: folder,
      },
      logFile,
      endSignal: 'SIGTERM',
    });
    this.#workers.push(worker);
    await worker.start(
      async () => (await readFile(logFile, 'utf8')).includes('Worker ready'),
      READY_WITHIN_MS,
    );
  }
}
