import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * Tests that take their time: exhaustive searches, random cases by the thousand, processes that are started and killed.
 * `npm run check` leaves them out, `npm test` runs everything.
 */
const THOROUGH = [
  'test/cli/**/*.test.ts',
  'test/commits/*.exhaustive.test.ts',
  'test/delta/{log,log-cleanup,readers,turns}.test.ts',
  'test/kafka/{batch-fuzz,record-batch,codecs,range-reader}.test.ts',
  'test/parquet/{file-reader,file-writer,python-readers}.test.ts',
  'test/records/{date-time,json-decoder.property,json-grammar}.test.ts',
  'test/duckdb/{compaction,rewrite-bin,rewrite-bins}.test.ts',
  'test/storage/**/*.test.ts',
  'test/trace/**/*.test.ts',
  'test/verify/corruptions.test.ts',
];

/** Against real servers, which `test/servers.ts` starts. */
const E2E = ['test/e2e/**/*.test.ts'];

/** So many of their files at once: most of their time is waiting. */
const E2E_LANES = availableParallelism() + 1;

/** The longest e2e files, longest first: whichever begins last keeps the whole run waiting. */
const LONGEST = [
  'proofs/compatibility',
  'servers',
  'proofs/zombies',
  'proofs/topics',
  'proofs/defects',
  'proofs/limits',
  'proofs/outages',
  'drain-faults',
  'proofs/faults',
  'repair',
  'dead-letters-retry',
  'examples',
  'evolution',
  'proofs/crawl',
  'proofs/kill',
  'clean',
  'proofs/schedule',
  'compaction',
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const at = LONGEST.findIndex((name) => moduleId.endsWith(`/e2e/${name}.test.ts`));
      return at < 0 ? LONGEST.length : at;
    };
    return (await super.sort(files)).sort((one, other) => rank(one) - rank(other));
  }
}

const SEEDED = process.env.SEED === undefined ? [] : ['test/seeds.ts'];

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          name: 'unit',
          setupFiles: SEEDED,
          include: ['test/**/*.test.ts'],
          exclude: [...THOROUGH, ...E2E],
          testTimeout: 60_000,
        },
      },
      { test: { name: 'thorough', setupFiles: SEEDED, include: THOROUGH, testTimeout: 120_000 } },
      {
        test: {
          name: 'e2e',
          include: E2E,
          globalSetup: ['test/servers.ts'],
          maxWorkers: E2E_LANES,
          sequence: { groupOrder: 1 },
          testTimeout: 600_000,
          hookTimeout: 600_000,
        },
      },
    ],
  },
});
