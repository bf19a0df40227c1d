/**
 * Promise: a set of letters by their spans is the set of its letters, in whatever order they come. Method:
 * random letters and spans against a plain set, over few offsets, so that spans touch and overlap.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { countLetters, LetterSet, lettersFromJson, lettersToJson } from '../../src/commits/letters.ts';

const partition = fc.record({
  topic: fc.constantFrom('a', 'b'),
  kafkaPartition: fc.integer({ min: 0, max: 1 }),
  epoch: fc.bigInt({ min: 0n, max: 1n }),
});
const span = fc
  .tuple(fc.bigInt({ min: 0n, max: 25n }), fc.bigInt({ min: 1n, max: 6n }))
  .map(([from, length]) => ({ from, until: from + length }));

test('holds what was added, once, as few spans, through JSON too', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(partition, span, fc.boolean())), (additions) => {
      const set = new LetterSet();
      const plain = new Set<string>();
      for (const [where, { from, until }, oneByOne] of additions) {
        if (!oneByOne) set.addAll([{ ...where, spans: [{ from, until }] }]);
        for (let offset = from; offset < until; offset++) {
          const name = `${where.topic}/${where.kafkaPartition}/${where.epoch}/${offset}`;
          if (oneByOne) expect(set.add({ ...where, offset })).toBe(!plain.has(name));
          plain.add(name);
        }
      }
      const spans = set.toSpans();
      expect(set.size).toBe(plain.size);
      expect(countLetters(spans)).toBe(plain.size);
      const names = spans.flatMap(({ topic, kafkaPartition, epoch, spans: all }) => {
        for (const [index, { from }] of all.entries())
          if (index > 0) expect(from).toBeGreaterThan(all[index - 1]?.until ?? from);
        return all.flatMap(({ from, until }) =>
          Array.from(
            { length: Number(until - from) },
            (_, i) => `${topic}/${kafkaPartition}/${epoch}/${from + BigInt(i)}`,
          ),
        );
      });
      expect(names.sort()).toEqual([...plain].sort());
      for (const [where] of additions)
        for (let offset = 0n; offset < 33n; offset++)
          expect(set.has({ ...where, offset })).toBe(
            plain.has(`${where.topic}/${where.kafkaPartition}/${where.epoch}/${offset}`),
          );
      expect(lettersFromJson(JSON.parse(JSON.stringify(lettersToJson(spans))))).toEqual(spans);
    }),
  );
});
