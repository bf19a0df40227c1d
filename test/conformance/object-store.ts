import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Failure } from '../../src/errors.ts';
import { localCopies } from '../../src/storage/local-copies.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { contentOf, openStore, type StoreKind, wholeContent } from './stores.ts';

/**
 * The promises of `ObjectStore`, for every implementation. Method: real stores; what is promised about
 * several writers and about crashes is tried with real processes, killed at seeded moments. The judge is
 * `wholeContent`: every object carries its own length and one byte repeated, so that torn, mixed or short
 * content shows.
 *
 * @param makeRoot an empty place for one test
 */
export function testObjectStore(kind: StoreKind, makeRoot: () => Promise<string>): void {
  let root: string;
  let store: ObjectStore;
  const children = new Set<ChildProcess>();

  beforeEach(async () => {
    root = await makeRoot();
    store = openStore(kind, root);
  });
  afterEach(() => {
    for (const child of children) child.kill('SIGKILL');
    children.clear();
  });

  /** Resolves when the process has begun its work; `lines` when it has ended. */
  const start = async (...work: string[]) => {
    const program = fileURLToPath(new URL('./store-process.ts', import.meta.url));
    const args = [program, kind, root, ...work];
    const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    children.add(child);
    const output = createInterface(child.stdout)[Symbol.asyncIterator]();
    expect((await output.next()).value).toBe('ready');
    const exited = once(child, 'exit');
    const kill = async () => {
      child.kill('SIGKILL');
      await exited;
    };
    const lines = async () => {
      const rest: string[] = [];
      for (let line = await output.next(); line.done !== true; line = await output.next())
        rest.push(line.value);
      return rest;
    };
    return { go: () => child.stdin.end('go'), kill, lines };
  };

  describe(`${kind}: one writer`, () => {
    test('what was put is read, whole and in ranges, and absent objects are undefined', async () => {
      expect([await store.read('a/b'), await store.stat('a/b'), await store.readRange('a/b', 0, 1)]).toEqual(
        Array(3).fill(undefined),
      );
      const before = Date.now();
      await store.put('a/b', Buffer.from('0123456789'));
      expect((await store.read('a/b'))?.toString()).toBe('0123456789');
      expect((await store.readRange('a/b', 2, 5))?.toString()).toBe('234');
      expect((await store.readRange('a/b', 8, 99))?.toString()).toBe('89');
      expect((await store.readRange('a/b', 99, 100))?.toString()).toBe('');
      const stat = await store.stat('a/b');
      expect(stat?.sizeBytes).toBe(10);
      expect(Math.abs((stat?.modifiedMs ?? 0) - before)).toBeLessThan(10_000);
      expect([await store.stat('a'), await store.read('a/b/c'), await store.stat('a/b/c')]).toEqual(
        Array(3).fill(undefined),
      );
    });

    test('putIfAbsent never replaces, put does', async () => {
      expect(await store.putIfAbsent('x', Buffer.from('1'))).toBe('created');
      expect(await store.putIfAbsent('x', Buffer.from('2'))).toBe('exists');
      expect((await store.read('x'))?.toString()).toBe('1');
      await store.put('x', Buffer.from('3'));
      expect((await store.read('x'))?.toString()).toBe('3');
      expect(await store.putIfAbsent('empty', Buffer.alloc(0))).toBe('created');
      expect((await store.read('empty'))?.length).toBe(0);
    });

    test('create writes in parts, tells its stat, refuses an existing path; abort leaves nothing', async () => {
      const writer = await store.create('new/folder/f');
      await writer.write(Buffer.from('ab'));
      await writer.write(Buffer.from('cd'));
      const stat = await writer.finish();
      expect(stat).toEqual(await store.stat('new/folder/f'));
      await writer.abort();
      expect((await store.read('new/folder/f'))?.toString()).toBe('abcd');
      await expect(store.create('new/folder/f')).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
      const given = await store.create('given-up');
      await given.write(Buffer.from('ab'));
      await given.abort();
      await given.abort();
      expect(await store.read('given-up')).toBeUndefined();
    });

    test('delete takes the object, and an absent one is no error', async () => {
      await store.put('a', Buffer.from('1'));
      await store.delete('a');
      await store.delete('a');
      await store.delete('no/folder/a');
      expect(await store.list('')).toEqual([]);
    });

    test('adopt: a file becomes an object without a copy, or nothing is done; never over another', async () => {
      const file = join(await mkdtemp(join(tmpdir(), 'tidemark-test-')), 'file');
      await writeFile(file, 'adopted');
      await store.put('f/taken', Buffer.from('taken'));
      await expect(store.adopt(file, 'f/taken')).rejects.toThrow(Failure);
      expect(String(await store.read('f/taken'))).toBe('taken');
      const before = Date.now();
      const stat = await store.adopt(file, 'f/new/x');
      if (stat === undefined) {
        expect([String(await readFile(file)), await store.read('f/new/x')]).toEqual(['adopted', undefined]);
      } else {
        expect([existsSync(file), String(await store.read('f/new/x'))]).toEqual([false, 'adopted']);
        expect(stat).toEqual(await store.stat('f/new/x'));
        expect(stat.modifiedMs).toBeGreaterThan(before - 1000);
      }
      await rm(dirname(file), { recursive: true });
    });

    test('adopt: a file of another disk stays where it is', async ({ skip }) => {
      if (!existsSync('/dev/shm')) return skip();
      const file = join(await mkdtemp('/dev/shm/tidemark-test-'), 'file');
      await writeFile(file, 'far');
      expect(await store.adopt(file, 'f/far')).toBeUndefined();
      expect([String(await readFile(file)), await store.read('f/far')]).toEqual(['far', undefined]);
      await rm(dirname(file), { recursive: true });
    });

    test('list: by prefix, after a path, in the byte order of UTF-8, nothing temporary', async () => {
      // In UTF-16, U+FFFD sorts after the emoji; in bytes before it.
      const paths = ['a', 'a!b', 'a/b', 'a/b/c\uFFFD', 'a/b/c😀', 'ab', 'ä', '_delta_log/1'].map(
        (p) => `l/${p}x`,
      );
      for (const path of paths) await store.put(path, Buffer.from(path));
      const sorted = paths.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      expect((await store.list('')).map(({ path }) => path)).toEqual(sorted);
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom('', ...paths),
          fc.nat(9),
          fc.constantFrom('', ...paths),
          async (p, n, after) => {
            const prefix = p.slice(0, n);
            const expected = sorted.filter(
              (path) => path.startsWith(prefix) && Buffer.compare(Buffer.from(path), Buffer.from(after)) > 0,
            );
            expect((await store.list(prefix, after)).map(({ path }) => path)).toEqual(expected);
          },
        ),
        { numRuns: 50 },
      );
      const [entry] = await store.list('l/ax');
      expect(entry).toEqual({ path: 'l/ax', ...(await store.stat('l/ax')) });
      expect(await store.list('nothing/here/')).toEqual([]);
    });

    test('localCopy: a file with the content, below copiesFolder, until it is released; an absent object fails', async () => {
      await store.put('f/a [1]*?.parquet', contentOf(7));
      const [copy, other] = [
        await store.localCopy('f/a [1]*?.parquet'),
        await store.localCopy('f/a [1]*?.parquet'),
      ];
      expect(copy.file.startsWith(`${store.copiesFolder}/`)).toBe(true);
      expect(copy.file.endsWith('a [1]*?.parquet')).toBe(true);
      expect(await readFile(copy.file)).toEqual(contentOf(7));
      await copy.release();
      await copy.release();
      expect(await readFile(other.file)).toEqual(contentOf(7));
      await other.release();
      expect(await store.read('f/a [1]*?.parquet')).toEqual(contentOf(7));
      for (const path of ['f/gone', 'f', 'no/folder/gone'])
        await expect(store.localCopy(path), path).rejects.toMatchObject({
          code: 'STORAGE_FAILED',
          message: `${store.address(path)} cannot be read: it is gone.`,
        });
    });

    test('localCopies: what was taken is given back where one fails', async () => {
      for (const path of ['a', 'b/c', 'd']) await store.put(path, Buffer.from(path));
      {
        await using copies = await localCopies(store, ['a', 'b/c', 'a']);
        for (const path of ['a', 'b/c']) expect(String(await readFile(copies.fileOf(path)))).toBe(path);
        expect(() => copies.fileOf('d')).toThrow('assertion failed');
      }
      await expect(localCopies(store, ['a', 'gone', 'd'])).rejects.toThrow(store.address('gone'));
    });

    test('space: what is left, or undefined; nothing is made for the answer', async () => {
      const space = await store.space();
      if (space !== undefined) {
        expect(space.freeBytes).toBeGreaterThan(0);
        expect(space.freeFiles).toBeGreaterThan(0);
        expect(space.at).not.toBe('');
      }
      expect(await store.list('')).toEqual([]);
    });

    test('leavingNoFolders: what was made for the work goes, also after a failure; what was there or is used stays', async () => {
      const isLeft = () => existsSync(store.address('tried/out'));
      const works = async () => {
        await store.put('tried/out/x', Buffer.from('1'));
        expect((await store.list('')).map(({ path }) => path)).toEqual(['tried/out/x']);
        await store.delete('tried/out/x');
        return 'done';
      };
      expect(await store.leavingNoFolders('tried/out', works)).toBe('done');
      expect([existsSync(root), isLeft()]).toEqual([false, false]);
      const fails = async () => {
        await works();
        throw new Error('failed');
      };
      await expect(store.leavingNoFolders('tried/out', fails)).rejects.toThrow('failed');
      expect([existsSync(root), isLeft()]).toEqual([false, false]);
      await store.put('tried/used', Buffer.from('1'));
      await store.leavingNoFolders('tried/out', async () => {});
      expect((await store.list('')).map(({ path }) => path)).toEqual(['tried/used']);
    });

    test('address: what other programs open, without a question whether it is there', async () => {
      await store.put('a/b c', Buffer.from('content'));
      const address = store.address('a/b c');
      expect(store.address('a/gone').startsWith(store.root)).toBe(true);
      if (address.startsWith('/')) expect(String(await readFile(address))).toBe('content');
      else expect(URL.canParse(address)).toBe(true);
    });

    test('what killed writers left is deleted by age, and counted; objects stay', {
      timeout: 60_000,
    }, async () => {
      const unfinished = (dryRun: boolean) => store.deleteUnfinished(Date.now() + 3_600_000, dryRun);
      for (let round = 0; (await unfinished(true)).count === 0; round++) {
        const writer = await start('forever', `${round}`);
        await sleep(5 + (round % 20));
        await writer.kill();
      }
      const paths = (await store.list('')).map(({ path }) => path);
      expect(await store.deleteUnfinished(Date.now() - 3_600_000, false)).toEqual({ count: 0, bytes: 0 });
      const { count, bytes } = await unfinished(true);
      expect(await unfinished(false)).toEqual({ count, bytes });
      expect(await unfinished(false)).toEqual({ count: 0, bytes: 0 });
      expect((await store.list('')).map(({ path }) => path)).toEqual(paths);
    });

    test('no path leaves the root, and names with a leading dot are the store’s own', async () => {
      for (const path of [
        '',
        '/etc/passwd',
        '../x',
        'a/../../x',
        'a//b',
        'a/',
        './a',
        '.tmp',
        'a/.b',
        'a\0b',
      ]) {
        const calls = [
          () => store.read(path),
          () => store.readRange(path, 0, 1),
          () => store.stat(path),
          () => store.put(path, Buffer.from('')),
          () => store.putIfAbsent(path, Buffer.from('')),
          () => store.create(path),
          () => store.delete(path),
          () => store.localCopy(path),
          async () => store.address(path),
        ];
        for (const call of calls) await expect(call(), path).rejects.toThrow('assertion failed');
      }
    });
  });

  describe(`${kind}: several processes`, () => {
    test('of concurrent putIfAbsent calls exactly one is told created, and its content stays', {
      timeout: 60_000,
    }, async () => {
      const racers = await Promise.all(
        [1, 2, 3, 4].map(async (id) => ({ id, racer: await start('race', `${id}`, '40') })),
      );
      for (const { racer } of racers) racer.go();
      const results = racers.map(async ({ id, racer }) =>
        (await racer.lines()).map((path) => ({ id, path })),
      );
      const created = (await Promise.all(results)).flat();
      expect(created.map(({ path }) => path).toSorted()).toEqual(
        (await store.list('race/')).map(({ path }) => path),
      );
      expect(created.length).toBe(40);
      for (const { id, path } of created) expect(await store.read(path)).toEqual(contentOf(id));
    });

    test('kill -9 in the middle leaves all of an object or nothing', { timeout: 60_000 }, async () => {
      const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
      console.log(`kill seed ${seed} (SEED=${seed} repeats it)`);
      for (const [round, wait] of fc
        .sample(fc.integer({ min: 0, max: 60 }), { numRuns: 8, seed })
        .entries()) {
        const writer = await start('forever', `${round}`);
        await sleep(wait);
        await writer.kill();
        const entries = await store.list('');
        expect(entries.length).toBeGreaterThan(0);
        for (const { path } of entries) expect(wholeContent(await store.read(path)), path).toBe(true);
        expect(await store.putIfAbsent(`after/${round}`, contentOf(1))).toBe('created');
      }
    });

    test('a reader never sees torn content while an object is replaced', async () => {
      await start('forever', '0');
      const seen = new Set<number | undefined>();
      for (const until = Date.now() + 500; Date.now() < until; ) {
        const content = await store.read('replaced');
        expect(wholeContent(content)).toBe(true);
        seen.add(content?.[8]);
      }
      expect(seen.size).toBeGreaterThan(2);
    });
  });
}
