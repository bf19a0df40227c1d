import { BATCH } from '../../src/commits/batch.ts';
import { commit } from '../../src/commits/commit.ts';
import { LocalStore } from '../../src/storage/local-store.ts';
import { openLog, planBatch } from './table.ts';

/**
 * One of several processes at one table: commits `count` batches of its own Kafka partition, and prints their
 * versions.
 */
const [, , root, kafkaPartition, count] = process.argv;
const store = new LocalStore(String(root));
const log = openLog(store, {
  onLogCheckpointFailed: (error) => {
    throw error;
  },
});

for (let done = 0; done < Number(count); ) {
  const batch = await planBatch(
    log,
    store,
    `p${kafkaPartition}-${done}-${process.hrtime.bigint()}`,
    2,
    Number(kafkaPartition),
  );
  const outcome = await commit(log, BATCH, batch);
  if (outcome.kind !== 'committed') continue;
  console.log(`${outcome.record.tableVersion} ${batch.batchId}`);
  done++;
}
