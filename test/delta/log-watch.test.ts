/**
 * Goal: whoever judges the logs after a fault sees what must not be. Method: a sound log of two versions,
 * spoilt in one place each.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { judgeLog, LogWatch } from '../e2e/faults/log-watch.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

const FIRST = version(null, '3', 'a.parquet');
const SECOND = version('3', '5', 'b.parquet');

it('finds nothing in a sound log, and counts files that no version names', () => {
  const location = table([FIRST, SECOND]);
  writeFileSync(join(location, 'c.parquet'), '');
  expect(judgeLog(location)).toEqual({ problems: [], orphans: 1 });
});

it.each<[string, string[], RegExp]>([
  ['a hole', [FIRST, '', SECOND], /version 2 is not version 1/],
  ['ranges that overlap', [FIRST, version('2', '5', 'b.parquet')], /begins at 2, not 3/],
  ['a gap between ranges', [FIRST, version('4', '5', 'b.parquet')], /begins at 4, not 3/],
  ['an offset that goes back', [FIRST, version('3', '2', 'b.parquet')], /goes back to 2/],
  ['a file that is added twice', [FIRST, version('3', '5', 'a.parquet')], /adds a.parquet again/],
  [
    'a txn that is not the range’s end',
    [FIRST, SECOND.replace('"version":"5"', '"version":"4"')],
    /ends at 5/,
  ],
])('sees %s', (_, versions, problem) => {
  expect(judgeLog(table(versions)).problems.join('\n')).toMatch(problem);
});

it('sees a version that was altered after it had appeared, and one that is gone', async () => {
  const location = table([FIRST, SECOND]);
  const watch = new LogWatch([location]);
  await new Promise((resolve) => setTimeout(resolve, 250));
  writeFileSync(versionFile(location, 1), version('3', '6', 'b.parquet'));
  expect(watch.end().problems).toEqual([expect.stringMatching(/1\.json has changed/)]);

  const another = new LogWatch([location]);
  await new Promise((resolve) => setTimeout(resolve, 250));
  rmSync(versionFile(location, 1));
  expect(another.end().problems).toEqual([expect.stringMatching(/1\.json is gone/)]);
});

function table(versions: readonly string[]): string {
  const location = mkdtempSync(join(tmpdir(), 'tidemark-watch-'));
  folders.push(location);
  mkdirSync(join(location, '_delta_log'));
  for (const [at, text] of versions.entries())
    if (text !== '') writeFileSync(versionFile(location, at), text);
  return location;
}

function versionFile(location: string, at: number): string {
  return join(location, '_delta_log', `${String(at).padStart(20, '0')}.json`);
}

function version(startingOffset: string | null, endingOffset: string, path: string): string {
  const actions = [
    { commitInfo: { ledger: [{ topic: 't', kafkaPartition: 0, startingOffset, endingOffset }] } },
    { txn: { appId: 'tidemark/t/0', version: endingOffset } },
    { add: { path } },
  ];
  return actions.map((action) => JSON.stringify(action)).join('\n');
}
