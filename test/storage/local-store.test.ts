import { execFileSync } from 'node:child_process';
import { chmod, chown, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { LocalStore } from '../../src/storage/local-store.ts';
import { testObjectStore } from '../conformance/object-store.ts';

/**
 * The conformance suite on a local disk, and what only a disk has: links, temporary files, a full or
 * read-only disk. The disks are tmpfs mounts; where the test may not mount, those tests are skipped.
 */
const made: string[] = [];
const mounted: string[] = [];

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-store-'));
  made.push(folder);
  return folder;
}

afterAll(async () => {
  for (const folder of mounted) execFileSync('umount', [folder]);
  for (const folder of made) await rm(folder, { recursive: true, force: true });
});

testObjectStore('local', async () => join(await makeFolder(), 'not', 'yet', 'there'));

test('leaves no temporary file behind, lost race included, and does not list one that a crash left', async () => {
  const store = new LocalStore(await makeFolder());
  await store.putIfAbsent('log/1', Buffer.from('1'));
  await store.putIfAbsent('log/1', Buffer.from('2'));
  await store.put('log/2', Buffer.from('1'));
  expect((await readdir(join(store.root, 'log'))).toSorted()).toEqual(['1', '2']);
  await writeFile(join(store.root, 'log', '.left-over.tmp'), 'x');
  expect((await store.list('')).map(({ path }) => path)).toEqual(['log/1', 'log/2']);
});

test('adopts no file that would have another group than those made in its folder', async ({ skip }) => {
  if (process.getuid?.() !== 0) return skip();
  const [store, elsewhere] = [new LocalStore(await makeFolder()), await makeFolder()];
  await chown(store.root, 0, 12_345);
  await chmod(store.root, 0o2770);
  await writeFile(join(elsewhere, 'file'), 'x');
  expect(await store.adopt(join(elsewhere, 'file'), 'x')).toBeUndefined();
  await chown(join(elsewhere, 'file'), 0, 12_345);
  expect(await store.adopt(join(elsewhere, 'file'), 'x')).toMatchObject({ sizeBytes: 1 });
});

test('writes through no link that leads out of the root', async () => {
  const [inside, outside] = [await makeFolder(), await makeFolder()];
  await symlink(outside, join(inside, 'way-out'));
  const store = new LocalStore(inside);
  const notWritable = { code: 'LOCATION_NOT_WRITABLE' };
  await expect(store.put('way-out/x', Buffer.from(''))).rejects.toMatchObject(notWritable);
  await expect(store.putIfAbsent('way-out/y/x', Buffer.from(''))).rejects.toMatchObject(notWritable);
  await expect(store.create('way-out/x')).rejects.toMatchObject(notWritable);
  expect(await readdir(outside)).toEqual([]);
  // The root itself may be a link: that is where its user put the table.
  const linked = new LocalStore(join(inside, 'way-out'));
  expect(await linked.putIfAbsent('x', Buffer.from('1'))).toBe('created');
});

test('a full disk is STORAGE_FULL, leaves nothing half-written, and works again after', async () => {
  const store = await mountedStore('size=256k');
  if (store === undefined) return;
  const writer = await store.create('data');
  await expect(writer.write(Buffer.alloc(400_000))).rejects.toMatchObject({
    code: 'STORAGE_FULL',
    retryable: true,
  });
  await expect(store.putIfAbsent('version', Buffer.alloc(100_000))).rejects.toMatchObject({
    code: 'STORAGE_FULL',
  });
  await expect(store.put('version', Buffer.alloc(100_000))).rejects.toThrow(join(store.root, 'version'));
  await writer.abort();
  expect(await readdir(store.root)).toEqual([]);
  expect(await store.putIfAbsent('version', Buffer.alloc(100_000))).toBe('created');
});

test('a read-only disk is LOCATION_NOT_WRITABLE and can be read', async () => {
  const store = await mountedStore('size=256k');
  if (store === undefined) return;
  await store.put('there', Buffer.from('1'));
  execFileSync('mount', ['-o', 'remount,ro', store.root]);
  const notWritable = { code: 'LOCATION_NOT_WRITABLE', retryable: false };
  await expect(store.put('x', Buffer.from('1'))).rejects.toMatchObject(notWritable);
  await expect(store.create('folder/x')).rejects.toMatchObject(notWritable);
  await expect(store.delete('there')).rejects.toMatchObject(notWritable);
  expect((await store.read('there'))?.toString()).toBe('1');
});

test('a file where a folder should be is final: LOCATION_NOT_WRITABLE, naming it', async () => {
  const folder = await makeFolder();
  await mkdir(join(folder, 'table'));
  await writeFile(join(folder, 'table', 'data'), 'x');
  const store = new LocalStore(join(folder, 'table'));
  const failed = {
    code: 'LOCATION_NOT_WRITABLE',
    retryable: false,
    message: expect.stringContaining(join(store.root, 'data', 'x')),
  };
  await expect(store.put('data/x', Buffer.from(''))).rejects.toMatchObject(failed);
});

async function mountedStore(options: string): Promise<LocalStore | undefined> {
  const folder = await makeFolder();
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder], { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  mounted.push(folder);
  return new LocalStore(folder);
}
