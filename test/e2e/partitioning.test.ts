/**
 * Promise: partition values of every kind and with every odd character come back alike from every reader;
 * nothing leaves the table's folder; what could not come back never becomes a row.
 *
 * Method: one record per odd value through the real way, four readers by checksum and the values themselves
 * by `tidemark query`, before and after a compaction; a batch of 1,000 table partitions, its worker's memory
 * watched.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type Reader, readTable } from '../readers/environment.ts';
import { readers } from './proofs/proof.ts';
import { disagreements, produce, tidemark, uniqueName } from './setup/harness.ts';
import { it, type Place } from './setup/place.ts';

const READERS: readonly Reader[] = ['delta-rs', 'polars', 'duckdb'];

const ODD: readonly (string | null)[] = [
  ...['plain', ' ', '  ', 'a b', ' lead', 'trail ', 'trail.', '.', '..', '../../etc', '/etc', 'a/b', 'C:\\x'],
  ...[
    '%',
    '%2F',
    '%25',
    'a%20b',
    '=',
    'a=b',
    'ключ=1',
    '爬虫',
    'é',
    'e\u0301',
    '\u202eabc',
    '\u200b',
    '\ufeff',
  ],
  ...['😀', '👨‍👩‍👧', '\u{10ffff}', '\uffff', '\ufffd', '\0', 'a\0b', '\u0001', '\u007f', '\u0085', '\u2028'],
  ...['\n', 'a\nb', '\r\n', '\t', 'null', 'NULL', 'None', 'NaN', 'true', '1', '01', '1e5', '2024-03-01'],
  ...[
    '"',
    "'",
    '`',
    '\\',
    '\\n',
    '$',
    `\${x}`,
    '#',
    '?',
    '&',
    '+',
    ':',
    ';',
    '*',
    '<>|',
    '[a]',
    '{}',
    '~',
    '!',
    '()',
  ],
  ...['__hive_default_partition__', 'x'.repeat(251), '/'.repeat(83), null],
];
const REFUSED = ['', '__HIVE_DEFAULT_PARTITION__', 'x'.repeat(254), '爬'.repeat(2_000), 'y'.repeat(100_000)];

it('odd values, in columns of odd names, beside every other kind', async ({ served, skip }) => {
  const python = await readers();
  if (python === undefined) return skip();
  const { name, folder, env, drain } = await pipeline(served, {
    mode: 'dropMalformed',
    schema:
      'n BIGINT, s STRING, `a.b` STRING, `ключ[*]` STRING, t TIMESTAMP, d DATE, p DECIMAL(20,4), h SMALLINT, y TINYINT, b BOOLEAN',
    partitionBy: ['s', 'a.b', 'ключ[*]', 'hour(t)', 'day(t)', 'month(t)', 'year(d)', 'd', 'p', 'h', 'y', 'b'],
  });
  const moments = [
    '0001-01-01T00:00:00Z',
    '1969-12-31T23:59:59.999999Z',
    '2024-03-10T10:30:00Z',
    '9999-12-31T23:59:59Z',
  ];
  const records = [...ODD, ...REFUSED].map((s, n) => ({
    ...{ n, s, 'a.b': ODD[ODD.length - 1 - n] ?? null, 'ключ[*]': n % 3 === 0 ? null : `v${n % 5}` },
    ...{ t: n % 7 === 6 ? null : moments[n % 4], d: ['0001-01-01', '1970-01-01', '9999-12-31', null][n % 4] },
    ...{ p: n % 5 === 0 ? null : (n - 20) / 8, h: 300 - n, y: n % 128, b: [true, false, null][n % 3] },
  }));
  // Twice, so that every table partition has two files to compact.
  const again = records.map((record) => ({ ...record, n: record.n + 1_000 }));
  for (const some of [records, again]) {
    const { totals } = await drain(some);
    expect(totals).toMatchObject({ rows: ODD.length, dropped: REFUSED.length });
  }
  const kept = [...records.slice(0, ODD.length), ...again.slice(0, ODD.length)];

  const compare = async (asked: readonly Reader[]) => {
    const { stdout } = await tidemark(
      [
        'query',
        name,
        `SELECT n, s, "a.b", "ключ[*]", p::VARCHAR p, h, t_hour::VARCHAR t_hour FROM "${name}" ORDER BY n`,
        '-o',
        'json',
      ],
      env,
    );
    expect(JSON.parse(stdout)).toEqual(
      kept.map(({ n, s, 'a.b': dotted, 'ключ[*]': bracketed, p, h, t }) => ({
        ...{ n, s, 'a.b': dotted, 'ключ[*]': bracketed, h },
        p: p === null ? null : p.toFixed(4),
        t_hour: t == null ? null : `${t.slice(0, 10)} ${t.slice(11, 13)}:00:00+00`,
      })),
    );
    const listing = join(folder, 'files.json');
    await writeFile(listing, (await tidemark(['files', name, '-o', 'json'], env)).stdout);
    const reports = [];
    for (const reader of asked)
      reports.push(await readTable(python, reader, reader === 'duckdb' ? listing : join(folder, 'table')));
    for (const report of reports) {
      const { checksum, columns } = report;
      expect({ [report.reader]: { checksum, columns } }).toEqual({
        [report.reader]: { checksum: reports[0]?.checksum, columns: reports[0]?.columns },
      });
      expect(report.count).toBe(kept.length);
    }
    return reports[0]?.checksum;
  };
  const before = await compare(['spark', ...READERS]);
  const compacted = await tidemark(['compact', name, '--target-files', '1', '-o', 'json'], env);
  expect(await disagreements(name, env, [])).toEqual([]);
  expect(JSON.parse(compacted.stdout)).toMatchObject({ filesBefore: 2 * ODD.length, filesAfter: ODD.length });
  expect(await compare(READERS)).toBe(before);
  expect((await readdir(folder)).filter((entry) => !/^(table|files\.json|.*\.yaml)/.test(entry))).toEqual([]);
});

const MANY = 1_000;
const PER_PARTITION = 20;
const RSS_MAX_MIB = 700;

it('1,000 table partitions in one batch, and one more than maxFilesPerBatch fails by name', async ({
  own,
}) => {
  const worker = await own.worker();
  const { name, env, drain } = await pipeline(own, {
    mode: 'failFast',
    schema: 'n BIGINT, site STRING, text STRING',
    partitionBy: ['site'],
    limits: { maxFilesPerBatch: MANY },
    coalesce: 1,
  });
  const text = 'x'.repeat(1_000);
  const records = Array.from({ length: MANY * PER_PARTITION }, (_, n) => ({
    n,
    site: `site ${n % MANY}`,
    text,
  }));
  const receipt = await drain(records);
  expect(receipt).toMatchObject({ totals: { rows: MANY * PER_PARTITION, files: MANY } });
  const status = await readFile(`/proc/${worker.pid}/status`, 'utf8').catch(() => '');
  const peakMib = Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1024;
  console.log(`1,000 table partitions: peak of the worker ${peakMib.toFixed(0)} MiB`);
  expect(peakMib).toBeLessThan(RSS_MAX_MIB);
  const { stdout } = await tidemark(
    ['query', name, `SELECT count(DISTINCT site) sites, count(DISTINCT n) n FROM "${name}"`, '-o', 'json'],
    env,
  );
  expect(JSON.parse(stdout)).toEqual([{ sites: MANY, n: MANY * PER_PARTITION }]);

  const failed = await drain(
    Array.from({ length: MANY + 1 }, (_, n) => ({ n, site: `other ${n}`, text })),
    1,
  );
  expect(failed.stderr).toContain('MAX_FILES_PER_BATCH');
});

async function pipeline(
  place: Place,
  options: {
    readonly mode: string;
    readonly schema: string;
    readonly partitionBy: readonly string[];
    readonly limits?: object;
    readonly coalesce?: number;
  },
) {
  const { mode, schema, partitionBy, limits, coalesce } = options;
  const { brokers, folder, env } = place;
  const topic = await place.topic('partitions');
  const name = await place.pipeline(uniqueName('partitions'), {
    source: { subscribe: [topic] },
    records: { mode, schema, kafkaColumns: [] },
    table: { partitionBy, ...(coalesce === undefined ? {} : { coalesce }) },
    ...(limits === undefined ? {} : { limits }),
  });
  const drain = async (records: readonly object[], exitCode = 0) => {
    if (records.length > 0) {
      const messages = records.map((record) => ({ value: JSON.stringify(record), partition: 0 }));
      await produce(brokers, topic, messages, { codec: 'GZIP', batchSize: 5_000 });
    }
    const ended = await tidemark(['drain', name, '-o', 'json'], env);
    expect({ exitCode: ended.exitCode, stderr: ended.stderr }).toMatchObject({ exitCode });
    return exitCode === 0 ? JSON.parse(ended.stdout) : ended;
  };
  return { name, folder, env, drain };
}
