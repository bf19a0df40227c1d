/**
 * Promise: whatever dies or fails, at whatever call, nothing is lost, doubled or changed, and the run ends as if nothing had been.
 * Method: a recording run numbers every call through the injected interfaces (store, Kafka, processes, activities), in the worker and
 * in its threads. Then one run for each: SIGKILL before it, SIGKILL after it, its answer lost; of a file's bytes also SIGKILL when
 * half of them are written. After each run delta-rs over both tables against an independent consumer, offset by offset and byte by
 * byte; log versions without a hole and unchanged; ranges that tile; the receipt that a run without a fault has. A run whose
 * fault did not hit is not counted.
 */
import { appendFileSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { expect, inject, it } from 'vitest';
import { type Fault, type FaultRun, runCampaign } from '../faults/campaign.ts';
import { temporaryFolder } from '../harness.ts';
import { isFullSize, readers, report, seededRandom, sized } from './proof.ts';

const SAMPLE = Number(process.env.SAMPLE ?? 14);
const OUTPUT = resolve(import.meta.dirname, '../../../docs/proofs/faults/runs.jsonl');

it('every call: killed before, killed after, answer lost', { timeout: sized(400_000, 5_400_000) }, async ({
  skip,
}) => {
  const python = await readers();
  if (python === undefined) return skip();
  const runs: FaultRun[] = [];
  if (isFullSize) {
    mkdirSync(dirname(OUTPUT), { recursive: true });
    rmSync(OUTPUT, { force: true });
  }
  await runCampaign({
    folder: await temporaryFolder(),
    brokers: inject('kafkaBrokers'),
    temporalAddress: inject('temporalAddress'),
    python,
    lanes: Number(process.env.LANES ?? sized(4, 8)),
    choose: isFullSize ? (faults) => faults : sample,
    report,
    onRun: (run, done, all) => {
      runs.push(run);
      if (isFullSize) appendFileSync(OUTPUT, `${JSON.stringify(run)}\n`);
      if (run.problems.length > 0 || !run.hit || done % 50 === 0)
        console.log(
          `${done} of ${all}: ${run.scenario}, ${run.way} ${run.call}${run.hit ? '' : ': did not hit'} ${run.problems.join('\n')}`,
        );
    },
  });

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

/** Few of them, and of every way and scenario; kills wait for heartbeats, so lost answers last. */
function sample(faults: readonly Fault[]): Fault[] {
  const random = seededRandom();
  const drawn = faults.map((fault) => ({ fault, at: random() })).sort((a, b) => a.at - b.at);
  const kills = drawn.filter(({ fault }) => fault.way !== 'loseAnswer').slice(0, SAMPLE / 2);
  const lost = drawn.filter(({ fault }) => fault.way === 'loseAnswer').slice(0, SAMPLE / 2);
  return [...kills, ...lost].map(({ fault }) => fault);
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
