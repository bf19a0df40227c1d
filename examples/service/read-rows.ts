import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Produced } from './produce.ts';

const TIDEMARK = fileURLToPath(new URL('./node_modules/.bin/tidemark', import.meta.url));

/**
 * The rows of this service's records: `_topic`, `_partition` and `_offset` tell them from everybody else's. Any reader of Delta tables will
 * do; this one asks `tidemark query`.
 */
export async function readRows(
  pipeline: string,
  topic: string,
  { starts, ends }: Produced,
): Promise<{ id: string }[]> {
  const ranges = Object.keys(ends).map(
    (partition) =>
      `_partition = ${partition} AND _offset >= ${starts[partition]} AND _offset < ${ends[partition]}`,
  );
  const sql = `SELECT id FROM "${pipeline}" WHERE _topic = '${topic}' AND (${ranges.join(' OR ')})`;
  const args = [TIDEMARK, 'query', pipeline, sql, '-o', 'jsonl'];
  const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: 256 * 1024 * 1024 });
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}
