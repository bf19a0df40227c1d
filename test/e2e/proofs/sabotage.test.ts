/**
 * Promise: what the other proofs look for, they would find. Method: `DeltaLog` and its decisions as they are,
 * two drains that overlap, die, freeze and lose answers by a seed, a vacuum or a new topic meanwhile; then
 * one rule taken away from outside. A naive reader of the final log has to find what is lost, doubled or
 * wrong, within a stated number of runs; of the product as it is, in none.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { EPOCH_APP_ID, offsetAppId, topicIdAppId, topicIdHash } from '../../../src/commits/pipeline-state.ts';
import type { Snapshot } from '../../../src/delta/snapshot.ts';
import { ForwardingStore } from '../../../src/storage/forwarding-store.ts';
import { type Sabotage, simulate, type Verdict } from '../../delta/log-simulation.ts';
import { PROOFS } from '../../prove/figures.ts';
import { isFullSize, randomOf, report, seedOfRun, sized } from './proof.ts';

const OUTPUT = join(PROOFS, 'sabotage.jsonl');
const CLEAN_RUNS = sized(30, 400);
const SABOTAGED_RUNS_MAX = 2_000;

/** What a store would be that puts a log entry over the one that is there. */
class Overwriting extends ForwardingStore {
  override async putIfAbsent(path: string, content: Uint8Array): Promise<'created' | 'exists'> {
    if (!path.startsWith('_delta_log/')) return await super.putIfAbsent(path, content);
    await this.put(path, content);
    return 'created';
  }
}

const SABOTAGES: readonly Sabotage[] = [
  {
    name: 'compare-and-set removed',
    lie: (snapshot, { partitions }) =>
      withTxns(
        snapshot,
        partitions.map((p) => [offsetAppId(p.topic, p.kafkaPartition), p.startingOffset]),
      ),
  },
  {
    name: 'blind overwrite of the log entry',
    store: (store) => new Overwriting(store),
  },
  { name: 'dead letters published first', lettersFirst: true },
  { name: 'vacuum without its txn', event: 'vacuum', vacuumWithoutTxn: true },
  {
    name: 'epoch ignored, and the topic ids that cover for it',
    event: 'recreate',
    lie: (snapshot, { plannedOn, topics }) =>
      withTxns(snapshot, [
        [EPOCH_APP_ID, plannedOn.epoch],
        ...topics.map(
          ({ topic, identity }) => [topicIdAppId(topic), identity && topicIdHash(identity)] as const,
        ),
      ]),
  },
];

const found: object[] = [];
const seed = seedOfRun();

describe('the product as it is', () => {
  it.each([undefined, 'vacuum', 'recreate'] as const)(
    'no run goes wrong, meanwhile: %s',
    { timeout: 600_000 },
    async (event) => {
      for (let run = 1; run <= CLEAN_RUNS; run++) {
        const verdict = await simulate(randomOf(seed + run), event === undefined ? {} : { event });
        expect(verdict, `seed ${seed + run}`).toEqual({ lost: 0, duplicate: 0, wrong: 0 });
      }
      found.push({
        sabotage: 'none',
        meanwhile: event ?? 'nothing',
        runs: CLEAN_RUNS,
        lost: 0,
        duplicate: 0,
        wrong: 0,
      });
      report(`the product as it is, meanwhile ${event ?? 'nothing'}: ${CLEAN_RUNS} runs, none wrong`);
    },
  );
});

describe('a rule taken away', () => {
  it.each(SABOTAGES)('$name is caught', async ({ name, ...sabotage }) => {
    const { run, verdict } = await firstCaught(sabotage);
    found.push({ sabotage: name, meanwhile: sabotage.event ?? 'nothing', runs: run, ...verdict });
    report(
      `${name}: caught by run ${run} (${verdict.lost} lost, ${verdict.duplicate} duplicate, ${verdict.wrong} wrong)`,
    );
    if (!isFullSize) return;
    writeFileSync(OUTPUT, `${found.map((line) => JSON.stringify(line)).join('\n')}\n`);
  });
});

async function firstCaught(sabotage: Omit<Sabotage, 'name'>): Promise<{ run: number; verdict: Verdict }> {
  for (let run = 1; run <= SABOTAGED_RUNS_MAX; run++) {
    const verdict = await simulate(randomOf(seed + run), sabotage);
    if (verdict.lost + verdict.duplicate + verdict.wrong > 0) return { run, verdict };
  }
  throw new Error(`not caught in ${SABOTAGED_RUNS_MAX} runs from seed ${seed} on`);
}

function withTxns(snapshot: Snapshot, changes: readonly (readonly [string, bigint | undefined])[]): Snapshot {
  const txns = new Map(snapshot.txns);
  for (const [appId, version] of changes) {
    if (version === undefined) txns.delete(appId);
    else txns.set(appId, version);
  }
  return { ...snapshot, txns };
}
