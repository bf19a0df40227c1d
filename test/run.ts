/**
 * What `npm test` runs: what computes (unit tests and the thorough ones) beside what mostly waits, for
 * brokers, heartbeats, restarts: everything against real servers. Each is a vitest, with its output as it
 * comes. The last line, alone, is `N passed, N failed` over both; zero tests are a failure.
 *
 * Arguments narrow the files, as vitest takes them: `npm test -- servers`.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheFolder } from '../src/dev/cache.ts';
import { temporalExecutable } from '../src/dev/temporal-server.ts';
import { readersEnvironment } from './readers/environment.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** At once, by vitest's projects. */
const SUITES = [['unit', 'thorough'], ['e2e']] as const;

/**
 * The same random cases each time, so that a failure is a change's. `npm run check` and `npm run prove` draw
 * others and say which.
 */
const SEED = '139';

/**
 * Tests start many processes that live for seconds: Node finds its modules compiled, which halves a command's
 * CPU time, and Java does without the compiler that pays off after minutes.
 */
const CHEAP_STARTS = {
  NODE_COMPILE_CACHE: join(cacheFolder(), 'compiled'),
  JAVA_TOOL_OPTIONS: '-XX:TieredStopAtLevel=1 -XX:+UseSerialGC',
};

interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

const filters = process.argv.slice(2);
// Once, before several would at a time: minutes on a machine that has nothing yet. What fails here, tests
// tell.
if (filters.length === 0) {
  await readersEnvironment().catch(() => {});
  if (!process.env.TEMPORAL_ADDRESS) await temporalExecutable().catch(() => {});
}

const folder = await mkdtemp(join(tmpdir(), 'tidemark-test-run-'));
let passed = 0;
let failed = 0;
let skipped = 0;
for (const counts of await Promise.all(SUITES.map((projects) => runSuite(projects, filters)))) {
  passed += counts.passed;
  failed += counts.failed;
  skipped += counts.skipped;
}
await rm(folder, { recursive: true, force: true });
if (skipped > 0) console.log(`${skipped} skipped: the reasons are above`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;

async function runSuite(projects: readonly string[], filters: readonly string[]): Promise<Counts> {
  const reportFile = join(folder, `${projects.join('-')}.json`);
  const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');
  const chosen = projects.map((project) => `--project=${project}`);
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${reportFile}`];
  // A narrowed run may have nothing of one suite.
  const none = filters.length > 0 ? ['--passWithNoTests'] : [];
  const child = spawn(process.execPath, [vitest, 'run', ...chosen, ...reporters, ...none, ...filters], {
    cwd: ROOT,
    env: { SEED, ...CHEAP_STARTS, ...process.env },
    stdio: 'inherit',
  });
  const [exitCode] = await once(child, 'exit');
  const counts = await countsOf(reportFile);
  // What is no test's failure, such as servers that don't start or an error after the last test, fails the
  // run all the same.
  return exitCode !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
}

interface VitestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly { readonly status: string; readonly assertionResults: readonly unknown[] }[];
}

async function countsOf(reportFile: string): Promise<Counts> {
  let report: VitestReport;
  try {
    report = JSON.parse(await readFile(reportFile, 'utf8'));
  } catch {
    return { passed: 0, failed: 1, skipped: 0 };
  }
  const unloadable = report.testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.length === 0,
  );
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + unloadable.length,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}
