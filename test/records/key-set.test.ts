/**
 * Promise: of the keys of a MAP, each that comes twice is found and no other, in the memory of a few bytes a
 * key. Method: random keys against a JavaScript Set; a record of millions of keys in a heap that could not
 * hold them as strings.
 */
import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { KeySet } from '../../src/records/key-set.ts';

test('it says of every key what a Set says', () => {
  const keys = fc.array(fc.string({ unit: 'binary', maxLength: 3 }), { maxLength: 600 });
  const set = new KeySet();
  fc.assert(
    fc.property(keys, (texts) => {
      set.clear();
      const model = new Set<string>();
      const values = Buffer.alloc(texts.length * 20);
      let valuesEnd = 0;
      for (const text of texts) {
        const bytes = Buffer.from(`"${text}"`);
        const isNew = set.add(values, valuesEnd, bytes, 1, bytes.length - 1);
        expect(isNew).toBe(!model.has(bytes.toString('latin1')));
        model.add(bytes.toString('latin1'));
        if (!isNew) continue;
        valuesEnd = values.writeUInt32LE(bytes.length - 2, valuesEnd);
        valuesEnd += bytes.copy(values, valuesEnd, 1, bytes.length - 1);
      }
    }),
  );
});

const SOURCE = new URL('../../src/records/', import.meta.url);
const DECODE = `
  import { Columns } from '${SOURCE}columns.ts';
  import { parseDdl } from '${SOURCE}ddl.ts';
  import { JsonDecoder } from '${SOURCE}json-decoder.ts';
  const buffer = Buffer.alloc(20_000_000);
  let end = buffer.write('{"m":{');
  for (let i = 0; i < 1_200_000; i++) end += buffer.write('"' + i.toString(36) + '":1,', end);
  end += buffer.write('"0":1}}', end);
  const decoder = new JsonDecoder({ nodes: new Columns(parseDdl('m MAP<STRING, INT>')).nodes });
  console.log(decoder.decode(buffer, 0, end), JSON.stringify(decoder.defect()));
`;

test('a record of a million keys fits into a small heap, and its last one is found to be there', () => {
  // As strings in a Set they take 70 MB.
  const args = ['--max-old-space-size=32', '--input-type=module', '-e', DECODE];
  const said = execFileSync(process.execPath, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  expect(said).toMatch(/^recordDefect .*"reason":"duplicateField","path":"m\.`0`"/);
});
