/**
 * Records the calls of every scenario, then has each of them happen with a fault at each of its calls, in
 * lanes. Every run ends with what an independent reader finds.
 */
import { availableParallelism, loadavg } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import type { ReadersEnvironment } from '../../readers/environment.ts';
import { newNamespace } from '../setup/namespaces.ts';
import { createTopic, produce, uniqueName } from '../setup/topics.ts';
import type { Way } from './calls.ts';
import { Checker } from './checker.ts';
import { Lane, type LaneResult, type Place, readRecord } from './lane.ts';
import { PARTITIONS, SCENARIOS, type Scenario, scenarioRecords } from './scenarios.ts';

export interface FaultRun {
  readonly scenario: string;
  readonly call: string;
  readonly way: Way;
  /** A run whose fault did not hit proves nothing and is not counted. */
  readonly hit: boolean;
  readonly lost: number;
  readonly duplicate: number;
  readonly wrong: number;
  /** Files that no version names: of killed attempts, for a vacuum to delete. */
  readonly orphans: number;
  /** From the fault to the run's end, less what a run without a fault took from the same call on. */
  readonly recoveryMs: number;
  /**
   * Runnable processes a core, of the whole machine, when the run ended: times are worth as much as this is
   * low.
   */
  readonly load: number;
  /** What else is not as it should be: an altered log, ranges that do not tile, another receipt. */
  readonly problems: readonly string[];
}

interface Recorded {
  readonly scenario: Scenario;
  readonly fixture: string | undefined;
  readonly receipt: unknown;
  /** By call, how long the run went on from there. */
  readonly remainingMs: ReadonlyMap<string, number>;
}

export interface CampaignOptions {
  readonly folder: string;
  readonly brokers: string;
  readonly temporalAddress: string;
  readonly python: ReadersEnvironment;
  readonly lanes: number;
  /** No run begins after this. */
  readonly untilMs: number;
  readonly scenarios?: readonly Scenario[];
  /** Chooses among all faults; in the order in which they are to be tried. */
  readonly choose: (faults: readonly Fault[]) => readonly Fault[];
  readonly onRun: (run: FaultRun, done: number, all: number) => void;
  readonly report: (line: string) => void;
}

export interface Fault {
  readonly scenario: string;
  readonly call: string;
  readonly way: Way;
}

export async function runCampaign(options: CampaignOptions): Promise<void> {
  const { folder, brokers, python, temporalAddress, report } = options;
  const topic = await createTopic(brokers, { name: uniqueName('faults'), partitions: PARTITIONS });
  await produce(brokers, topic, scenarioRecords(), { batchSize: 60 });
  const checker = new Checker(python, brokers, topic);
  const place: Place = { folder, brokers, temporalAddress, topic, checker };
  const connection = await Connection.connect({ address: temporalAddress });
  const lanes: Lane[] = [];
  try {
    for (let at = 0; at < options.lanes; at++) {
      const client = new Client({ connection, namespace: await newNamespace(connection) });
      lanes.push(new Lane(place, `lane-${at}`, client));
    }
    const recorded = await record(lanes, options.scenarios ?? SCENARIOS, folder, report);
    const faults = options.choose([...recorded.values()].flatMap(faultsOf));
    const queue = faults.entries();
    let done = 0;
    const work = async (lane: Lane) => {
      for (const [index, fault] of queue) {
        if (Date.now() > options.untilMs) return;
        const of = recorded.get(fault.scenario);
        if (of === undefined) continue;
        const { call, way } = fault;
        const { scenario, fixture } = of;
        const id = `run-${index}-${scenario.workflowType}`;
        const run = await lane.run({ scenario, id, ...(fixture && { fixture }), fault: { call, way } }).then(
          (result) => judge(of, fault, result),
          (error) => failedRun(fault, error),
        );
        options.onRun(run, ++done, faults.length);
      }
    };
    await Promise.all(lanes.map(work));
  } finally {
    await Promise.all(lanes.map((lane) => lane.stop()));
    await checker.stop();
    await connection.close();
  }
}

/**
 * Each scenario once without a fault: its calls, its receipt, its times. One after the other, so that the
 * times are its own.
 */
async function record(
  lanes: readonly Lane[],
  scenarios: readonly Scenario[],
  folder: string,
  report: (line: string) => void,
): Promise<Map<string, Recorded>> {
  const recorded = new Map<string, Recorded>();
  const queue = scenarios.entries();
  const work = async (lane: Lane) => {
    for (const [index, scenario] of queue) {
      const fixture = await lane.prepare(scenario);
      const file = join(folder, `calls-${index}.jsonl`);
      const result = await lane.run({
        scenario,
        id: `record-${index}`,
        ...(fixture && { fixture }),
        record: file,
      });
      const { lost, duplicate, wrong, examples } = result.finding;
      if (lost + duplicate + wrong + result.problems.length > 0)
        throw new Error(`${scenario.name} without a fault: ${[...examples, ...result.problems].join('\n')}`);
      const calls = readRecord(file);
      const remainingMs = new Map(calls.map(({ call, atMs }) => [call, result.endedAtMs - atMs]));
      report(
        `${scenario.name}: ${remainingMs.size} calls in ${result.endedAtMs - result.startedAtMs} ms without a fault`,
      );
      recorded.set(scenario.name, { scenario, fixture, receipt: result.receipt, remainingMs });
    }
  };
  await Promise.all(lanes.map(work));
  return recorded;
}

function faultsOf({ scenario, remainingMs }: Recorded): Fault[] {
  const { name, only = /./ } = scenario;
  const calls = [...remainingMs.keys()].filter((call) => only.test(call));
  return withFewWrites(calls).flatMap((call) => {
    const ways: Way[] = ['killBefore', 'loseAnswer'];
    if (CHANGES_SOMETHING.test(call)) ways.push('killAfter');
    if (call.includes('.write ')) ways.push('killHalfway');
    return ways.map((way) => ({ scenario: name, call, way }));
  });
}

/** After a call that only reads, the world is what it is before the next one. */
const CHANGES_SOMETHING =
  /\.(put|putIfAbsent|create|write|finish|abort|adopt|delete|deleteUnfinished|commitGroupOffsets)\b| activity$| process\./;

/**
 * Of the many writes of one file's bytes the first, one in the middle and the last: between them the store's
 * state differs by bytes alone.
 */
function withFewWrites(calls: readonly string[]): string[] {
  const byFile = Map.groupBy(calls, (call) => call.replace(/ \(\d+\)$/, ''));
  return [...byFile].flatMap(([file, of]) => {
    if (!file.includes('.write ')) return of;
    return of.filter((_, index) => [0, of.length >> 1, of.length - 1].includes(index));
  });
}

function judge(recorded: Recorded, fault: Fault, result: LaneResult): FaultRun {
  const { lost, duplicate, wrong, examples } = result.finding;
  const problems = [...result.problems, ...examples];
  const [receipt, expected] = [result.receipt, recorded.receipt].map((value) => JSON.stringify(value));
  if (receipt !== expected) problems.push(`receipt ${receipt} instead of ${expected}`);
  const { hitAtMs, endedAtMs, orphans } = result;
  const remaining = recorded.remainingMs.get(fault.call) ?? 0;
  const recoveryMs = hitAtMs === undefined ? 0 : Math.max(0, endedAtMs - hitAtMs - remaining);
  return {
    ...fault,
    hit: hitAtMs !== undefined,
    lost,
    duplicate,
    wrong,
    orphans,
    recoveryMs,
    load: loadPerCore(),
    problems,
  };
}

function failedRun(fault: Fault, error: unknown): FaultRun {
  const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : '';
  const problems = [`${error instanceof Error ? error.message : String(error)}${cause}`];
  return {
    ...fault,
    hit: true,
    lost: 0,
    duplicate: 0,
    wrong: 0,
    orphans: 0,
    recoveryMs: 0,
    load: loadPerCore(),
    problems,
  };
}

function loadPerCore(): number {
  return Math.round(((loadavg()[0] ?? 0) / availableParallelism()) * 10) / 10;
}
