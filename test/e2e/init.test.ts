/**
 * Promise: `tidemark init` goes from a topic of one's own to a pipeline file that works, asked at a terminal
 * or told by options, and says honestly what it saw. Method: real topics; the file that it wrote is planned
 * by the CLI.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect } from 'vitest';
import { produceTransaction, tidemark } from './setup/harness.ts';
import { it, type Place } from './setup/place.ts';
import { atTerminal } from './setup/terminal.ts';

const MAIN = resolve(import.meta.dirname, '../../src/cli/main.ts');
const DAY_MS = 86_400_000;

/** @param from number of the first record; each tenth has no price */
function crawl(count: number, from = 0, partitions = 3) {
  return Array.from({ length: count }, (_, at) => ({
    partition: (from + at) % partitions,
    value: JSON.stringify({
      id: `p-${from + at}`,
      price: (from + at) % 10 === 0 ? null : (from + at) / 4,
      crawl_ts: 1_700_000_000_000 + ((from + at) % 3) * DAY_MS,
    }),
  }));
}

/** Its folder of pipelines is not there yet. */
function inNewProject(own: Place): { pipelines: string; env: Place['env'] } {
  const pipelines = join(own.folder, 'pipelines');
  return { pipelines, env: own.with({ TIDEMARK_PIPELINES: pipelines }).env };
}

async function topicOf(own: Place, records: ReturnType<typeof crawl>): Promise<string> {
  return await own.topic('shop.items', records, { partitions: 3, batchSize: 100 });
}

describe('init', () => {
  it('proposes without --yes, writes with it, and never replaces a file unasked', async ({ own }) => {
    const topic = await topicOf(own, crawl(600));
    await produceTransaction(own.brokers, topic, [{ partition: 0, value: '{"aborted": true}' }], 'abort');
    const { pipelines, env } = inNewProject(own);

    const looked = await tidemark(['init', 'items', '--topic', topic, '--records', '120', '-o', 'json'], env);
    expect(looked).toMatchObject({ exitCode: 0 });
    const proposal = JSON.parse(looked.stdout);
    expect(proposal).toMatchObject({
      written: false,
      columns: [
        { path: 'id', type: 'STRING' },
        { path: 'price', type: 'DOUBLE' },
        { path: 'crawl_ts', type: 'TIMESTAMP', timestamp: 'epochMillis' },
      ],
      partitionBy: ['day(crawl_ts)'],
      decoded: { rows: proposal.sample.records, deadLetters: 0, expectedDeadLetters: 0 },
    });
    // Twenty of each end of each partition, but for the offsets of the aborted record and its marker.
    expect(proposal.sample.records).toBe(118);
    const examples = JSON.stringify(proposal.columns[0].seen);
    expect(examples).toContain('p-0');

    const written = await tidemark(['init', 'items', '--topic', topic, '--yes'], env);
    expect(written).toMatchObject({ exitCode: 0 });
    expect(written.stdout).toContain('Decoded with it: 600 of 600 are rows, 0 dead letters.');
    expect(written.stderr).toContain('tidemark drain items');
    expect(await tidemark(['validate', 'items'], env)).toMatchObject({ exitCode: 0 });
    const plan = await tidemark(['plan', 'items', '-o', 'json'], env);
    expect(JSON.parse(plan.stdout)).toMatchObject({ partitionColumns: ['crawl_ts_day'], offsets: '602' });

    const again = await tidemark(
      ['init', 'items', '--topic', topic, '--yes', '--location', './elsewhere'],
      env,
    );
    expect(again).toMatchObject({ exitCode: 2, stdout: '' });
    expect(again.stderr).toContain('exists already');
    const forced = [...'init items --yes --force --location ./elsewhere --topic'.split(' '), topic];
    expect(await tidemark(forced, env)).toMatchObject({ exitCode: 0 });
    expect(readFileSync(join(pipelines, 'items.yaml'), 'utf8')).toContain('location: ./elsewhere');
  });

  it('asks at a terminal', async ({ own }) => {
    const topic = await topicOf(own, crawl(300));
    const { pipelines, env } = inNewProject(own);
    const { exitCode, screen } = await atTerminal([process.execPath, MAIN, 'init'], env, [
      [/Topics, by number or name.*: $/, topic],
      [/Name of the pipeline \[shop_items_\w+\]: $/, 'items'],
      [/Folder of the table.*: $/, ''],
      [/id is in every record\. Refuse.*: $/, 'maybe'],
      [/Answer y or n\.\n.*: $/, ''],
      [/price has up to 2 decimals\. .*: $/, 'y'],
      [/Partition by: .* \[day\(crawl_ts\)\]: $/, 'day(price)'],
      [/cannot be partitioned.*: $/s, 'month(crawl_ts)'],
      [/Write .*items\.yaml\? \(Y\/n\): $/, ''],
    ]);
    expect(exitCode).toBe(0);
    expect(
      Math.max(
        ...screen
          .split('\n')
          .slice(3)
          .filter((line) => /^(?:column|id|price|crawl)/.test(line))
          .map((line) => line.length),
      ),
    ).toBeLessThanOrEqual(80);
    const file = readFileSync(join(pipelines, 'items.yaml'), 'utf8');
    expect(file).toMatch(/id STRING NOT NULL,\n/);
    expect(file).toMatch(/price DECIMAL\(18,2\), +-- in 270 of 300\n/);
    expect(file).toContain('partitionBy: ["month(crawl_ts)"] # 1 table partition in the sample');
  });

  it('writes nothing where the person says no', async ({ own }) => {
    const topic = await topicOf(own, crawl(10));
    const { pipelines, env } = inNewProject(own);
    const asked = await atTerminal(
      [process.execPath, MAIN, 'init', 'items', '--topic', topic, '--not-null', 'id'],
      env,
      [
        [/Folder of the table.*: $/, ''],
        [/price .*: $/, ''],
        [/Partition by.*: $/, 'none'],
        [/Write .*: $/, 'n'],
      ],
    );
    expect(asked.screen).toContain('Nothing was written.');
    expect(() => readdirSync(pipelines)).toThrow('ENOENT');
  });

  it('says what it cannot make a pipeline of', async ({ own }) => {
    const { env } = inNewProject(own);
    const empty = await topicOf(own, []);
    const avro = await topicOf(own, [{ partition: 0, value: '\u0000\u0000\u0000\u0000\u0001Objavro' }]);
    const fails = async (...args: string[]) => await tidemark(['init', ...args, '--yes'], env);
    expect(await fails('--topic', empty)).toMatchObject({
      exitCode: 2,
      stdout: '',
      stderr: expect.stringContaining('has no records'),
    });
    expect(await fails('--topic', avro)).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('this is not JSON (1)'),
    });
    expect(await fails('--topic', `${empty}-not`)).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining(`there is ${empty}`),
    });
    expect(await fails()).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('Name one or more: --topic'),
    });
    expect(await fails('--topic', empty, '--bootstrap-servers', '127.0.0.1:1')).toMatchObject({
      exitCode: 3,
    });
    const topic = await topicOf(own, crawl(3));
    expect(await fails('--topic', topic, '--not-null', 'ident')).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('There are: id, price, crawl_ts.'),
    });
    expect(await fails('--topic', topic, '--decimal', 'id')).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('There are: price.'),
    });
  });
});
