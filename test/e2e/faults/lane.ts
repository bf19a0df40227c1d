import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Client, WorkflowHandle } from '@temporalio/client';
import { stringify } from 'yaml';
import { deadLettersLocation } from '../../../src/records/dead-letters.ts';
import type { RecordedCall, RunPlan } from './calls.ts';
import type { Checker, Finding } from './checker.ts';
import { LogWatch } from './log-watch.ts';
import { pipelineOf, type Scenario } from './scenarios.ts';

const PIPELINE = 'faults';
const WORKER = fileURLToPath(new URL('./worker-entry.ts', import.meta.url));
const WORKER_READY_WITHIN_MS = 120_000;
const RUN_ENDS_WITHIN_MS = 300_000;

/** What all lanes share. */
export interface Place {
  readonly folder: string;
  readonly brokers: string;
  readonly temporalAddress: string;
  readonly topic: string;
  readonly checker: Checker;
  readonly workerEntry?: string;
}

export interface LaneRun {
  readonly scenario: Scenario;
  readonly id: string;
  /** A table to begin with, copied. */
  readonly fixture?: string;
  readonly fault?: RunPlan['fault'];
  readonly record?: string;
}

export interface LaneResult {
  /** When the fault hit; undefined where it did not. */
  readonly hitAtMs: number | undefined;
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  /** What does not differ from run to run. */
  readonly receipt: unknown;
  readonly finding: Finding;
  readonly orphans: number;
  readonly problems: readonly string[];
}

/**
 * One run at a time: a Temporal namespace, since task queues are shared, and a worker that is started again
 * whenever it dies.
 */
export class Lane {
  private readonly place: Place;
  private readonly client: Client;
  private readonly folder: string;
  private worker: ChildProcess | undefined;
  private workerOutput = '';
  private ended = false;

  /** @param client of the lane's own namespace */
  constructor(place: Place, name: string, client: Client) {
    this.place = place;
    this.client = client;
    this.folder = join(place.folder, name);
    mkdirSync(this.folder, { recursive: true });
    writeFileSync(this.planFile, JSON.stringify({ workflowId: '' }));
    this.startWorker();
  }

  /** One run to its end, with its fault, and what is then to be found. The table's folder is removed. */
  async run({ scenario, id, fixture, fault, record }: LaneRun): Promise<LaneResult> {
    await this.workerReady();
    const location = join(this.folder, id, 'table');
    const locations = [location, deadLettersLocation(location)];
    mkdirSync(join(this.folder, id), { recursive: true });
    if (fixture !== undefined) copyTable(fixture, location);
    const hitFile = join(this.folder, id, 'hit');
    const plan: RunPlan = {
      workflowId: id,
      location,
      hitFile,
      ...(fault && { fault }),
      ...(record && { record }),
    };
    writeFileSync(this.planFile, JSON.stringify(plan));

    const watch = new LogWatch(locations);
    const startedAtMs = Date.now();
    const result = await this.workflow(scenario, scenario.pipeline, location, id, scenario.input);
    const endedAtMs = Date.now();
    const finding = await this.place.checker.check({
      location,
      deadLetters: deadLettersLocation(location),
      ...scenario.expected,
    });
    const { problems, orphans } = watch.end({ cleans: scenario.cleans ?? false });
    const hitAtMs = existsSync(hitFile) ? Number(readFileSync(hitFile, 'utf8')) : undefined;
    rmSync(join(this.folder, id), { recursive: true, force: true });
    return { hitAtMs, startedAtMs, endedAtMs, receipt: lasting(result), finding, orphans, problems };
  }

  /** The table that a scenario begins with, by drains of its own. */
  async prepare({ name, before, cleans }: Scenario): Promise<string | undefined> {
    if (before === undefined) return undefined;
    await this.workerReady();
    const location = join(this.folder, `before ${name}`, 'table');
    const { topic } = this.place;
    const { pipeline, offsets } = before;
    const until = offsets === undefined ? 'latest' : { offsets: { [topic]: { 0: offsets, 1: offsets } } };
    await this.workflow(
      { workflowType: 'drain' },
      pipeline,
      location,
      `before-${name.replaceAll(' ', '-')}`,
      { until },
    );
    if (cleans) for (const at of [location, deadLettersLocation(location)]) leaveOrphan(at);
    return location;
  }

  async stop(): Promise<void> {
    this.ended = true;
    const { worker } = this;
    if (worker === undefined || worker.exitCode !== null || worker.signalCode !== null) return;
    const gone = once(worker, 'exit');
    worker.kill('SIGKILL');
    await gone;
  }

  private get planFile(): string {
    return join(this.folder, 'plan.json');
  }

  private async workflow(
    { workflowType }: Pick<Scenario, 'workflowType'>,
    options: Scenario['pipeline'],
    location: string,
    workflowId: string,
    input: object = {},
  ): Promise<unknown> {
    const { topic, brokers } = this.place;
    const document = pipelineOf(options, topic, brokers, location);
    writeFileSync(join(this.folder, `${PIPELINE}.yaml`), stringify(document));
    const handle = await this.client.workflow.start(workflowType, {
      workflowId,
      taskQueue: 'tidemark',
      args: [{ pipeline: PIPELINE, ...input }],
    });
    return await this.resultOf(handle);
  }

  private async resultOf(handle: WorkflowHandle): Promise<unknown> {
    const late = new AbortController();
    try {
      return await Promise.race([
        handle.result(),
        sleep(RUN_ENDS_WITHIN_MS, undefined, { signal: late.signal }).then(() => {
          throw new Error(
            `${handle.workflowId} has not ended in ${RUN_ENDS_WITHIN_MS} ms\n${this.workerOutput}`,
          );
        }),
      ]);
    } finally {
      late.abort();
    }
  }

  private startWorker(): void {
    const { temporalAddress, workerEntry = WORKER } = this.place;
    const worker = spawn(process.execPath, [workerEntry, this.planFile, this.folder], {
      env: {
        ...process.env,
        TEMPORAL_ADDRESS: temporalAddress,
        TEMPORAL_NAMESPACE: this.client.options.namespace,
        // Starting costs half as much.
        NODE_COMPILE_CACHE: join(this.place.folder, 'compiled'),
        TMPDIR: this.folder,
      },
      // By the channel it notices when this process is gone.
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.worker = worker;
    this.workerOutput = '';
    for (const stream of [worker.stdout, worker.stderr])
      stream?.on('data', (text) => {
        this.workerOutput = (this.workerOutput + text).slice(-10_000);
      });
    worker.on('exit', () => {
      if (!this.ended) this.startWorker();
    });
  }

  private async workerReady(): Promise<void> {
    for (const until = Date.now() + WORKER_READY_WITHIN_MS; !this.workerOutput.includes('Worker ready'); ) {
      if (Date.now() > until) throw new Error(`the worker is not ready:\n${this.workerOutput}`);
      await sleep(20);
    }
  }
}

export function readRecord(file: string): RecordedCall[] {
  return readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

function copyTable(from: string, to: string): void {
  for (const at of [(location: string) => location, deadLettersLocation])
    if (existsSync(at(from))) cpSync(at(from), at(to), { recursive: true, preserveTimestamps: true });
}

/** As an attempt that was killed long ago does: a finished file that no version names. */
function leaveOrphan(location: string): void {
  const file = readdirSync(location).find((name) => name.endsWith('.parquet')) ?? '';
  const orphan = join(location, `part-00000-${randomUUID()}.zstd.parquet`);
  cpSync(join(location, file), orphan);
  const hourAgo = Date.now() / 1000 - 3600;
  utimesSync(orphan, hourAgo, hourAgo);
}

/** A receipt without its times, places and sizes. */
function lasting(result: unknown): unknown {
  const changing =
    /^(pipeline|location|path|sha256|durationMs|bytes\w*|allPartitions|deadLetters|cutOff|lists|leftovers|log)$/;
  return JSON.parse(
    JSON.stringify(result, (key, value) =>
      (changing.test(key) && typeof value !== 'number') || /bytes|durationMs/.test(key) ? undefined : value,
    ),
  );
}
