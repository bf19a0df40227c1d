/**
 * Promise: where a broker loses records that a table already has, the drain says so by name, commits nothing
 * and asks for a repair; after the printed answer rows are right: nothing is missing and nothing doubled but
 * what the answer says. Method: three real brokers. A follower is down while records go to the leader alone
 * and into tables; then the leader is killed, in the middle of drains, and the follower is elected without
 * them (unclean). Of partitions that only the follower has, it finds a part of the log, or none of it, on its
 * disk: a log that has shrunken without an election.
 *
 * At full size only: a log is given 60 s to come back, and three brokers their time to start.
 */
import { existsSync, readdirSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApplicationFailure } from '@temporalio/common';
import { expect, it, onTestFinished } from 'vitest';
import { type Receipt, Tidemark } from '../../../src/client.ts';
import { type KafkaNode, startKafka } from '../../../src/dev/kafka-server.ts';
import {
  environment,
  produce,
  startWorker,
  temporalClient,
  tidemark,
  uniqueName,
  waitUntil,
  withAdmin,
  writePipeline,
} from '../setup/harness.ts';
import { isFullSize, report } from './proof.ts';

const CHANGED = 'KAFKA_DATA_LOSS.PARTITION_OFFSET_CHANGED, exit code 4';
/** Of the pipelines that are drained while the leader is killed. */
const BATCH = 30;
const PATIENCE_MS = 120_000;

it.skipIf(!isFullSize)('a log that ends before its table', { timeout: 900_000 }, async ({ skip }) => {
  report('| case | expected | seen |');
  report('|---|---|---|');
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-test-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const data = join(folder, 'kafka');
  const kafka = await startKafka({ nodes: 3, dataFolder: data, properties: { 'min.insync.replicas': '1' } });
  onTestFinished(() => kafka.stop());
  const [leader, follower, third] = kafka.nodes as [KafkaNode, KafkaNode, KafkaNode];
  const logsOf = (node: KafkaNode) => join(data, `node-${node.nodeId}`, 'log');
  if (!existsSync(logsOf(follower))) return skip('brokers in Docker lose their logs when they are killed');
  const brokers = kafka.bootstrapServers;
  const env = environment(folder);
  const worker = startWorker(env);
  const client = new Tidemark(await temporalClient());

  /** One entry of `replicas` per partition. */
  const topic = async (name: string, ...replicas: readonly KafkaNode[][]) => {
    const created = uniqueName(name);
    const replicaAssignment = replicas.map((nodes, partition) => ({
      partition,
      replicas: nodes.map(({ nodeId }) => nodeId),
    }));
    const configEntries = [{ name: 'unclean.leader.election.enable', value: 'true' }];
    const topics = [{ topic: created, replicaAssignment, configEntries }];
    await withAdmin(brokers, (admin) => admin.createTopics({ topics, waitForLeaders: false }));
    await waitUntil(async () => (await ends(created)).length === replicas.length, PATIENCE_MS);
    return created;
  };
  /** Log ends by partition; none while one of them has no leader. */
  const ends = (name: string): Promise<number[]> =>
    withAdmin(brokers, (admin) => admin.fetchTopicOffsets(name)).then(
      (offsets) => offsets.sort((a, b) => a.partition - b.partition).map(({ high }) => Number(high)),
      () => [],
    );
  /**
   * Records `KIND-0`, `KIND-1`, ..., ten to a record batch; proves that the log then ends where it should.
   */
  const fill = async (name: string, kind: string, count: number, end: number, partition = 0) => {
    const messages = Array.from({ length: count }, (_, n) => ({
      value: JSON.stringify({ id: `${kind}-${n}` }),
      partition,
    }));
    await produce(brokers, name, messages, { batchSize: 10 });
    await waitUntil(async () => (await ends(name))[partition] !== undefined, PATIENCE_MS);
    expect((await ends(name))[partition]).toBe(end);
  };
  const pipelineOf = async (subscribe: string, source: object = {}, limits: object = {}) => {
    const name = uniqueName('unclean');
    await writePipeline(folder, name, {
      source: { bootstrapServers: brokers, subscribe, ...source },
      records: { format: 'json', mode: 'failFast', schema: 'id STRING NOT NULL', kafkaColumns: [] },
      table: { location: join(folder, name) },
      limits,
    });
    return {
      name,
      drain: () => client.drain(name).then(describeReceipt, (error) => describeFailure(error, name)),
      versions: () => versions(join(folder, name)),
      diagnosis: async (): Promise<readonly Found[]> =>
        JSON.parse((await tidemark(['repair', name, '-o', 'json'], env)).stdout).findings,
      /** Rows by kind; a second number where some ids are there more than once. */
      rows: async () => {
        const sql = `SELECT split_part(id, '-', 1) AS kind, count(*)::INT AS n, count(DISTINCT id)::INT AS ids FROM "${name}" GROUP BY 1 ORDER BY 1`;
        const { stdout, stderr } = await tidemark(['query', name, sql, '-o', 'json'], env);
        const kinds: { kind: string; n: number; ids: number }[] = stderr === '' ? JSON.parse(stdout) : [];
        const counted = kinds.map(({ kind, n, ids }) =>
          n === ids ? `${kind} ${n}` : `${kind} ${n} of ${ids} ids`,
        );
        return counted.join(', ') || stderr;
      },
      /**
       * Runs the printed command that goes on `from` there. @returns which partitions it moved, and where to
       */
      accept: async (from: 'earliest' | 'latest') => {
        const [finding] = JSON.parse((await tidemark(['repair', name, '-o', 'json'], env)).stdout)
          .findings as Found[];
        const command = finding?.answers.map((answer) => answer.command).find((c) => c.includes(from)) ?? '';
        const { exitCode, stderr } = await tidemark([...command.split(' ').slice(1), '--yes'], env);
        if (exitCode !== 0) return `exit code ${exitCode}: ${stderr}`;
        const ledger: Moved[] = lastCommitInfo(join(folder, name)).ledger;
        return ledger.map((m) => `${m.kafkaPartition}: ${m.startingOffset} to ${m.endingOffset}`).join(', ');
      },
    };
  };

  const both = [leader, follower];
  const [lost, grown, behind, beyond, cut, removed] = [
    await topic('lost', both, [third, leader]),
    await topic('grown', both),
    await topic('behind', both),
    await topic('beyond', both),
    await topic('cut', [follower]),
    await topic('removed', [follower]),
  ];
  const toLatest = await pipelineOf(lost);
  const toEarliest = await pipelineOf(lost);
  const lenient = await pipelineOf(lost, { failOnDataLoss: false });
  const ofGrown = await pipelineOf(grown);
  const ofBehind = await pipelineOf(behind, {}, { maxOffsetsPerBatch: BATCH });
  const ofBeyond = await pipelineOf(beyond, {}, { maxOffsetsPerBatch: BATCH });
  const ofCut = await pipelineOf(cut);
  const ofRemoved = await pipelineOf(removed);
  const ofLost = [toLatest, toEarliest, lenient];

  await fill(lost, 'common', 100, 100);
  await fill(lost, 'other', 10, 10, 1);
  await fill(grown, 'common', 100, 100);
  await fill(behind, 'common', 10 * BATCH, 10 * BATCH);
  await fill(beyond, 'common', BATCH, BATCH);
  await fill(cut, 'common', 100, 100);
  await fill(removed, 'common', 100, 100);
  await worker.ready();
  await Promise.all([...ofLost, ofGrown, ofCut, ofRemoved].map(({ drain }) => drain()));

  // What follows only the leader has.
  await follower.kill('SIGKILL');
  await fill(lost, 'lost', 100, 200);
  await fill(lost, 'other2', 5, 15, 1);
  await fill(grown, 'lost', 100, 200);
  await fill(behind, 'lost', 100, 10 * BATCH + 100);
  await fill(beyond, 'lost', 30 * BATCH, 31 * BATCH);
  for (const { drain } of [...ofLost, ofGrown]) {
    judge(
      'drained from the leader alone',
      `complete: ${ofGrown.drain === drain ? 100 : 105} rows`,
      await drain(),
    );
  }
  const beyondFails = ofBeyond.drain();
  await waitUntil(() => ofBeyond.versions().length >= 2, PATIENCE_MS);
  const behindFails = ofBehind.drain();
  await waitUntil(() => ofBehind.versions().length >= 1, PATIENCE_MS);
  await leader.kill('SIGKILL');
  const inTime = ofBehind.versions().length < 10 && ofBeyond.versions().length < 31;
  judge('the leader is killed while goals lie ahead', 'true', String(inTime));

  cutLog(join(logsOf(follower), `${cut}-0`), 60);
  rmSync(join(logsOf(follower), `${removed}-0`), { recursive: true });
  await follower.restart();
  for (const name of [lost, grown, behind, beyond, cut, removed]) {
    await waitUntil(async () => (await ends(name)).length > 0, PATIENCE_MS);
  }
  const shrunken = await Promise.all([lost, grown, behind, beyond, cut, removed].map(ends));
  judge('log ends with the new leader', '100+15 100 300 30 60 0', shrunken.map((e) => e.join('+')).join(' '));
  await fill(lost, 'after', 30, 130);
  await fill(grown, 'after', 150, 250);

  const failing = [toLatest, toEarliest, lenient, ofCut, ofRemoved];
  const fails = failing.map(({ drain }) => drain());
  const [latestFails, earliestFails, lenientFails, cutFails, removedFails] = await Promise.all(fails);
  judge('unclean election', `${CHANGED}, ends at 130 before 200, repair named`, latestFails);
  judge('the same', `${CHANGED}, ends at 130 before 200, repair named`, earliestFails);
  judge('the same, failOnDataLoss: false', `${CHANGED}, ends at 130 before 200, repair named`, lenientFails);
  judge(
    'the end of a log is gone from the disk',
    `${CHANGED}, ends at 60 before 100, repair named`,
    cutFails,
  );
  judge('all of a log is gone from the disk', `${CHANGED}, ends at 0 before 100, repair named`, removedFails);
  const atGrown = 'log that has grown past its table again (it cannot be told: docs/repair.md)';
  judge(atGrown, 'complete: 50 rows', await ofGrown.drain());
  judge('its rows', 'after 50, common 100, lost 100', await ofGrown.rows());

  judge(
    'election during a drain, goal beyond the end',
    `${CHANGED}, ends at 300 before 330, repair named`,
    await behindFails,
  );
  judge('its rows', 'common 300', await ofBehind.rows());
  judge(
    'to repair',
    'nothing',
    (await ofBehind.diagnosis()).map(({ problem }) => problem).join() || 'nothing',
  );
  const seenBeyond = await beyondFails;
  const [finding] = await ofBeyond.diagnosis();
  const reached = Number(finding?.partitions[0]?.committedOffset);
  judge(
    'the same, table beyond the end too',
    `${CHANGED}, ends at 30 before ${reached + BATCH}, repair named`,
    seenBeyond,
  );
  judge('to repair', 'KAFKA_DATA_LOSS.PARTITION_OFFSET_CHANGED', String(finding?.problem));

  judge('accept-topic --from latest moves', '0: 200 to 130', await toLatest.accept('latest'));
  judge('accept-topic --from earliest moves', '0: 200 to 0', await toEarliest.accept('earliest'));
  judge('accept-topic --from latest, cut log', '0: 100 to 60', await ofCut.accept('latest'));
  judge('accept-topic --from latest, removed log', '0: 100 to 0', await ofRemoved.accept('latest'));
  judge('accept-topic --from latest, goal beyond', `0: ${reached} to 30`, await ofBeyond.accept('latest'));

  await leader.restart();
  await fill(lost, 'late', 20, 150);
  await fill(behind, 'late', 20, 320);
  await fill(beyond, 'late', 20, 50);
  await fill(cut, 'late', 20, 80);
  await fill(removed, 'late', 20, 20);
  judge('--from latest, 20 records later, old leader back', 'complete: 20 rows', await toLatest.drain());
  judge('its rows', 'common 100, late 20, lost 100, other 10, other2 5', await toLatest.rows());
  judge('--from earliest, the same', 'complete: 150 rows', await toEarliest.drain());
  const again = 'after 30, common 200 of 100 ids, late 20, lost 100, other 10, other2 5';
  judge('its rows', again, await toEarliest.rows());
  judge('goal beyond the end, without a repair', 'complete: 20 rows', await ofBehind.drain());
  judge('its rows', 'common 300, late 20', await ofBehind.rows());
  judge('goal and table beyond the end, repaired', 'complete: 20 rows', await ofBeyond.drain());
  judge('its rows', `common 30, late 20, lost ${reached - BATCH}`, await ofBeyond.rows());
  judge('cut log, repaired', 'complete: 20 rows', await ofCut.drain());
  judge('its rows', 'common 100, late 20', await ofCut.rows());
  judge('removed log, repaired', 'complete: 20 rows', await ofRemoved.drain());
  judge('its rows', 'common 100, late 20', await ofRemoved.rows());
  const repaired = [toLatest, toEarliest, ofBehind, ofBeyond, ofCut, ofRemoved];
  for (const { drain } of repaired) judge('once more', 'complete: 0 rows', await drain());
});

function judge(name: string, expected: string, seen: string | undefined): void {
  report(`| ${name} | ${expected} | ${seen} |`);
  expect.soft(seen, name).toBe(expected);
}

interface Found {
  readonly problem: string;
  readonly partitions: readonly { readonly committedOffset: string | null }[];
  readonly answers: readonly { readonly command: string }[];
}

interface Moved {
  readonly kafkaPartition: number;
  readonly startingOffset: string;
  readonly endingOffset: string;
}

function describeReceipt({ outcome, totals }: Receipt): string {
  const lost = totals.lost > 0 ? `, ${totals.lost} lost` : '';
  return `${outcome}: ${totals.rows} rows${lost}`;
}

/** The activity's failure, as the CLI would show it. */
function describeFailure(error: unknown, pipeline: string): string {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (!(cause instanceof ApplicationFailure)) continue;
    const [details] = (cause.details ?? []) as { exitCode?: number }[];
    const [, end, offset] = /end(?:s|ed) at (\d+)[^.]*before offset (\d+)/.exec(cause.message) ?? [];
    const named = [`tidemark repair ${pipeline}`, 'tidemark repair PIPELINE'];
    const repair = named.some((command) => cause.message.includes(command)) ? ', repair named' : '';
    return `${cause.type}, exit code ${details?.exitCode}, ends at ${end} before ${offset}${repair}`;
  }
  throw error;
}

function versions(location: string): string[] {
  const log = join(location, '_delta_log');
  if (!existsSync(log)) return [];
  const files = readdirSync(log).filter((file) => /^\d+\.json$/.test(file));
  return files.sort().map((file) => join(log, file));
}

function lastCommitInfo(location: string): { ledger: Moved[] } {
  const [first = '{}'] = readFileSync(versions(location).at(-1) ?? '', 'utf8').split('\n');
  return JSON.parse(first).commitInfo;
}

/**
 * Cuts a stopped broker's log before the record batch that begins at `offset`: after a SIGKILL it believes
 * the file.
 */
function cutLog(folder: string, offset: number): void {
  const file = join(folder, `${'0'.repeat(20)}.log`);
  const log = readFileSync(file);
  let position = 0;
  while (log.readBigInt64BE(position) < BigInt(offset)) position += 12 + log.readInt32BE(position + 8);
  truncateSync(file, position);
}
