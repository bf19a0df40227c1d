/** Goal: each location has one store, or is refused by name. Method: every way to write one. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { placeOf, UNSUPPORTED_SCHEMES } from '../../src/storage/location.ts';
import { stores } from '../../src/storage/stores.ts';

const openStore = stores({});

test('a path and its file URL are the same folder of this machine', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark stores-%41-'));
  await openStore(folder).put('a', Buffer.from('1'));
  const byUrl = openStore(pathToFileURL(folder).href);
  expect(byUrl.root).toBe(folder);
  expect(String(await byUrl.read('a'))).toBe('1');
  await rm(folder, { recursive: true });
});

test.each([...UNSUPPORTED_SCHEMES, 'S3'])('%s:// is refused by name', (scheme) => {
  expect(() => openStore(`${scheme}://bucket/products`)).toThrow(
    expect.objectContaining({
      code: 'CONFIGURATION_INVALID',
      message: `table.location: ${scheme}:// is not supported yet.`,
      fix: 'Write a folder of the local disk.',
    }),
  );
});

test('so are a scheme that nobody has planned, and files of another machine', () => {
  expect(() => openStore('gopher://x/y')).toThrow('table.location: gopher:// is not a place for a table.');
  expect(() => openStore('file://host/y')).toThrow('table.location is not on this machine: file://host/y');
});

test('what only looks like a URL is a path', () => {
  for (const folder of ['/a://b', './x', 'c:/d', 'a b://c'])
    expect(placeOf(folder)).toEqual({ kind: 'disk', folder });
});
