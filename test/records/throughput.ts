/**
 * Prints how fast one thread decodes crawler-like records of about 640 bytes: `node
 * test/records/throughput.ts [seconds]`. A figure to look at, not a test: this machine is shared. The first
 * lines are the warm-up.
 */
import { Columns } from '../../src/records/columns.ts';
import { parseDdl } from '../../src/records/ddl.ts';
import { JsonDecoder } from '../../src/records/json-decoder.ts';

const SCHEMA = `id STRING NOT NULL, site STRING, url STRING, title STRING, price DOUBLE, stock BIGINT, in_stock BOOLEAN,
  rating DOUBLE, tags ARRAY<STRING>, seller STRUCT<name: STRING, since: BIGINT>, description STRING,
  crawl_ts TIMESTAMP, fetched_at TIMESTAMP`;
const RECORDS = 20_000;

let state = 7;
function random(bound: number): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 4294967296) * bound);
}

function word(): string {
  return Array.from({ length: 3 + random(8) }, () => String.fromCharCode(97 + random(26))).join('');
}

function words(count: number): string {
  return Array.from({ length: count }, word).join(' ');
}

function record(i: number): object {
  const two = (n: number): string => String(n).padStart(2, '0');
  return {
    id: `p-${String(i).padStart(9, '0')}`,
    site: `shop-${two(random(40))}.example`,
    url: `https://shop-${two(random(40))}.example/item/${i}?ref=${word()}`,
    title: `${words(4 + random(9))}爬虫`,
    price: random(100_000) / 100,
    stock: random(500),
    in_stock: random(10) < 8,
    rating: random(10) === 0 ? null : random(50) / 10,
    tags: Array.from({ length: random(6) }, word),
    seller: { name: word(), since: 2000 + random(25) },
    description: words(10 + random(60)),
    crawl_ts: 1_700_000_000_000 + random(10) * 86_400_000,
    fetched_at: `2024-03-${two(1 + random(28))}T${two(random(24))}:${two(random(60))}:${two(random(60))}.123Z`,
  };
}

const seconds = Number(process.argv[2] ?? 3);
// As Python's json.dumps writes it: a space after commas and colons.
const documents = Array.from({ length: RECORDS }, (_, i) =>
  JSON.stringify(record(i), null, 1)
    .replace(/\n\s*/g, ' ')
    .replace('{ ', '{')
    .replace(/ ([}\]])/g, '$1'),
);
const buffer = Buffer.from(documents.join(''));
const ends = documents.map((text) => Buffer.byteLength(text));
for (let i = 1; i < ends.length; i++) ends[i] = (ends[i] as number) + (ends[i - 1] as number);

const columns = new Columns(parseDdl(SCHEMA));
const decoder = new JsonDecoder({ nodes: columns.nodes, timestamps: { crawl_ts: 'epochMillis' } });
console.log(`${RECORDS} records of ${Math.round(buffer.length / RECORDS)} bytes, Node ${process.version}`);
const until = performance.now() + seconds * 1000;
while (performance.now() < until) {
  columns.clear();
  const started = performance.now();
  let start = 0;
  for (const end of ends) {
    if (decoder.decode(buffer, start, end) !== 'row') throw new Error(decoder.defect()?.message);
    start = end;
  }
  const elapsed = (performance.now() - started) / 1000;
  console.log(
    `${(buffer.length / 1e6 / elapsed).toFixed(0)} MB/s, ${Math.round(RECORDS / elapsed)} records/s`,
  );
}
