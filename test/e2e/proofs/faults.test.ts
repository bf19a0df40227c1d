/**
 * Promise: whatever dies or fails, at whatever call, nothing is lost, doubled or changed, and the run ends as
 * if nothing had been. Method: a recording run numbers every call through the injected interfaces (store,
 * Kafka, processes, activities), in the worker and in its threads. Then one run for each: SIGKILL before it,
 * its answer lost, SIGKILL after it where it changes something; of a file's bytes also SIGKILL when half of
 * them are written. After each run delta-rs over both tables against an independent consumer, offset by
 * offset and byte by byte; log versions without a hole and unchanged; ranges that tile; the receipt that a
 * run without a fault has. A run whose fault did not hit is not counted.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, inject, it } from 'vitest';
import { PROOFS, readLines } from '../../prove/figures.ts';
import { type Fault, type FaultRun, runCampaign } from '../faults/campaign.ts';
import { SCENARIOS } from '../faults/scenarios.ts';
import { temporaryFolder } from '../setup/harness.ts';
import { isFullSize, readers, report, seededRandom, sized } from './proof.ts';

const SAMPLE = 14;
/** `SCENARIOS='compact,drain'` repeats these alone; the others' runs stay as they are. */
const CHOSEN = process.env.SCENARIOS?.split(',');
/** For a machine that is busy: the rest of the faults, drawn at random, is left out and said to be. */
const MINUTES_MAX = Number(process.env.MINUTES ?? 85);
const OUTPUT = join(PROOFS, 'faults');

it('every call: killed before, killed after, answer lost', { timeout: sized(600_000, 5_400_000) }, async ({
  skip,
}) => {
  const python = await readers();
  if (python === undefined) return skip();
  const runs: FaultRun[] = [];
  const scenarios = SCENARIOS.filter(({ name }) => CHOSEN?.includes(name) ?? true);
  await runCampaign({
    folder: await temporaryFolder(),
    brokers: inject('kafkaBrokers'),
    temporalAddress: inject('temporalAddress'),
    python,
    lanes: Number(process.env.LANES ?? sized(4, 8)),
    scenarios,
    untilMs: Date.now() + MINUTES_MAX * 60_000,
    choose: isFullSize ? all : sample,
    report,
    onRun: (run, done, all) => {
      runs.push(run);
      if (isFullSize && done % 50 === 0) keep(runs);
      if (run.problems.length > 0 || !run.hit || done % 50 === 0)
        console.log(
          `${done} of ${all}: ${run.scenario}, ${run.way} ${run.call}${run.hit ? '' : ': did not hit'} ${run.problems.join('\n')}`,
        );
    },
  });

  if (isFullSize) keep(runs);
  const hits = runs.filter(({ hit }) => hit);
  for (const scenario of new Set(hits.map((run) => run.scenario))) reportScenario(scenario, hits);
  report(
    `${hits.length} runs with a fault, ${runs.length - hits.length} whose fault did not hit and which are not counted`,
  );
  const bad = hits.filter(
    ({ lost, duplicate, wrong, problems }) => lost + duplicate + wrong + problems.length > 0,
  );
  expect(bad).toEqual([]);
  expect(hits.length).toBeGreaterThan(runs.length * 0.8);
});

/** All, and how many there are. */
function all(faults: readonly Fault[]): Fault[] {
  const counts = Object.entries(Object.groupBy(faults, ({ scenario }) => scenario)).map(
    ([scenario, of = []]) => [
      scenario,
      { calls: new Set(of.map(({ call }) => call)).size, faults: of.length },
    ],
  );
  const file = join(OUTPUT, 'scenarios.json');
  const before = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
  mkdirSync(OUTPUT, { recursive: true });
  writeFileSync(file, `${JSON.stringify({ ...before, ...Object.fromEntries(counts) }, null, 2)}\n`);
  return inAnyOrder(faults);
}

function inAnyOrder(faults: readonly Fault[]): Fault[] {
  const random = seededRandom();
  return faults
    .map((fault) => ({ fault, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ fault }) => fault);
}

/** As many lost answers as kills, which wait for heartbeats to stay out. */
function sample(faults: readonly Fault[]): Fault[] {
  const drawn = inAnyOrder(faults);
  const isKill = ({ way }: Fault) => way !== 'loseAnswer';
  const half = SAMPLE / 2;
  return [...drawn.filter(isKill).slice(0, half), ...drawn.filter((fault) => !isKill(fault)).slice(0, half)];
}

/** One line a run, in an order that says nothing of time. */
function keep(runs: readonly FaultRun[]): void {
  const again = new Set(runs.map(({ scenario }) => scenario));
  const file = join(OUTPUT, 'runs.jsonl');
  const before = readLines<FaultRun>(file);
  const lines = [...before.filter(({ scenario }) => !again.has(scenario)), ...runs].map((run) =>
    JSON.stringify(run),
  );
  mkdirSync(OUTPUT, { recursive: true });
  writeFileSync(file, `${lines.sort().join('\n')}\n`);
}

function reportScenario(scenario: string, hits: readonly FaultRun[]): void {
  const of = hits.filter((run) => run.scenario === scenario);
  const sum = (term: 'lost' | 'duplicate' | 'wrong' | 'orphans') =>
    of.reduce((total, run) => total + run[term], 0);
  const recovery = of.map(({ recoveryMs }) => recoveryMs).sort((a, b) => a - b);
  const at = (share: number) => ((recovery[Math.ceil(share * recovery.length) - 1] ?? 0) / 1000).toFixed(1);
  report(
    `${scenario}: ${of.length} faults at ${new Set(of.map(({ call }) => call)).size} calls; ${sum('lost')} lost, ${sum('duplicate')} duplicate, ` +
      `${sum('wrong')} wrong; ${sum('orphans')} orphan files; recovery p50 ${at(0.5)} s, p99 ${at(0.99)} s, max ${at(1)} s`,
  );
}
