/**
 * Goal: however the socket cuts what it reads, each answer arrives whole and in order, and memory that was released is never
 * that of an answer still looked at. Method: random answers cut at random places; every second one is released.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Answers } from '../../src/kafka/responses.ts';

const ANSWERS = fc.array(fc.uint8Array({ minLength: 4, maxLength: 300 }), { minLength: 1, maxLength: 12 });
const CUTS = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 20 });

it('gives every answer whole, whatever the pieces', () => {
  fc.assert(
    fc.property(ANSWERS, CUTS, (sent, cuts) => {
      const answers = new Answers();
      const held: Buffer[] = [];
      const arrived: number[][] = [];
      for (const piece of piecesOf(Buffer.concat(sent.map(framed)), cuts)) {
        for (const answer of answers.take(piece)) {
          arrived.push([...answer]);
          if (arrived.length % 2 === 0) held.push(answer);
          else answers.release(answer);
        }
      }
      expect(arrived).toEqual(sent.map((answer) => [...answer]));
      expect(held.map((answer) => [...answer])).toEqual(arrived.filter((_, i) => i % 2 === 1));
    }),
  );
});

it('uses the memory of a released answer for the next one that fits', () => {
  const answers = new Answers();
  const take = (bytes: number) => answers.take(framed(Buffer.alloc(bytes, 7)))[0] as Buffer;
  const first = take(100_000);
  answers.release(first.subarray(4));
  const second = take(60_000);
  expect([second.buffer === first.buffer, second.length]).toEqual([true, 60_000]);
  answers.release(second);
  expect(take(100_000).buffer).toBe(first.buffer);
  expect(take(100).buffer).not.toBe(first.buffer);
});

it('frees the pieces', () => {
  const piece = Buffer.allocUnsafeSlow(100);
  framed(Buffer.alloc(96)).copy(piece);
  expect(new Answers().take(piece)).toHaveLength(1);
  expect(piece).toHaveLength(0);
});

it.each([-1, 3, 0x48545450])('refuses an answer that claims %s bytes', (claimed) => {
  const size = Buffer.alloc(4);
  size.writeInt32BE(claimed);
  expect(() => new Answers().take(size)).toThrow(`an answer of ${claimed} bytes`);
});

function framed(answer: Uint8Array): Buffer {
  const size = Buffer.alloc(4);
  size.writeInt32BE(answer.length);
  return Buffer.concat([size, answer]);
}

function piecesOf(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [0, ...cuts.map((cut) => Math.floor(cut * bytes.length)).sort((a, b) => a - b), bytes.length];
  return at.slice(1).map((end, i) => Buffer.from(bytes.subarray(at[i], end)));
}
