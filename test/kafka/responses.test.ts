/**
 * Goal: however the socket cuts what it reads, each response arrives whole and in order, and memory that was
 * released is never that of a response still looked at. Method: random responses cut at random places; every
 * second one is released.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Responses } from '../../src/kafka/responses.ts';

const RESPONSES = fc.array(fc.uint8Array({ minLength: 4, maxLength: 300 }), { minLength: 1, maxLength: 12 });
const CUTS = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 20 });

it('gives every response whole, whatever the pieces', () => {
  fc.assert(
    fc.property(RESPONSES, CUTS, (sent, cuts) => {
      const responses = new Responses();
      const held: Buffer[] = [];
      const arrived: number[][] = [];
      for (const piece of piecesOf(Buffer.concat(sent.map(framed)), cuts)) {
        for (const response of responses.take(piece)) {
          arrived.push([...response]);
          if (arrived.length % 2 === 0) held.push(response);
          else responses.release(response);
        }
      }
      expect(arrived).toEqual(sent.map((response) => [...response]));
      expect(held.map((response) => [...response])).toEqual(arrived.filter((_, i) => i % 2 === 1));
    }),
  );
});

it('uses the memory of a released response for the next one that fits', () => {
  const responses = new Responses();
  const take = (bytes: number) => responses.take(framed(Buffer.alloc(bytes, 7)))[0] as Buffer;
  const first = take(100_000);
  responses.release(first.subarray(4));
  const second = take(60_000);
  expect([second.buffer === first.buffer, second.length]).toEqual([true, 60_000]);
  responses.release(second);
  expect(take(100_000).buffer).toBe(first.buffer);
  expect(take(100).buffer).not.toBe(first.buffer);
});

it('frees the pieces', () => {
  const piece = Buffer.allocUnsafeSlow(100);
  framed(Buffer.alloc(96)).copy(piece);
  expect(new Responses().take(piece)).toHaveLength(1);
  expect(piece).toHaveLength(0);
});

it.each([-1, 3, 0x48545450])('refuses a response that claims %s bytes', (claimed) => {
  const size = Buffer.alloc(4);
  size.writeInt32BE(claimed);
  expect(() => new Responses().take(size)).toThrow(`an answer of ${claimed} bytes`);
});

function framed(response: Uint8Array): Buffer {
  const size = Buffer.alloc(4);
  size.writeInt32BE(response.length);
  return Buffer.concat([size, response]);
}

function piecesOf(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [0, ...cuts.map((cut) => Math.floor(cut * bytes.length)).sort((a, b) => a - b), bytes.length];
  return at.slice(1).map((end, i) => Buffer.from(bytes.subarray(at[i], end)));
}
