/**
 * Goal: a secret is had from where its reference says, now; what is wrong with it names the reference and
 * never a value. Method: variables and files, right and wrong ones.
 */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { resolveSecret, type SecretReference } from '../src/secret.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidemark-secret-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function fileWith(content: string | Uint8Array): Promise<{ file: string }> {
  const file = join(folder, 'secret');
  await writeFile(file, content);
  return { file };
}

describe('resolves', () => {
  it('a variable of the environment that it is given, not of the process', async () => {
    expect(await resolveSecret({ env: 'PATH' }, { PATH: 's3cret' })).toBe('s3cret');
  });

  it.each([
    ['s3cret\n', 's3cret'],
    ['s3cret\r\n', 's3cret'],
    ['s3cret\n\n', 's3cret\n'],
    [' s3cret ', ' s3cret '],
    ['two\nlines', 'two\nlines'],
    ['пароль', 'пароль'],
  ])('%j as %j', async (content, secret) => {
    expect(await resolveSecret(await fileWith(content), {})).toBe(secret);
    expect(await resolveSecret({ env: 'A' }, { A: content })).toBe(secret);
  });

  it('a file at each call: a rotated secret is found', async () => {
    const reference = await fileWith('old');
    expect(await resolveSecret(reference, {})).toBe('old');
    await fileWith('new');
    expect(await resolveSecret(reference, {})).toBe('new');
  });

  it('1 MiB', async () => {
    const secret = 'x'.repeat(1024 * 1024);
    expect(await resolveSecret(await fileWith(secret), {})).toBe(secret);
  });
});

describe('refuses', () => {
  async function refusal(reference: SecretReference, environment = {}) {
    const failure = await resolveSecret(reference, environment).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'CONFIGURATION_INVALID', exitCode: 2, retryable: false });
    return failure as Error;
  }

  it.each([
    [{}, 'The environment variable KAFKA_PASSWORD, which the pipeline uses for a secret, is not set.'],
    [
      { KAFKA_PASSWORD: '\n' },
      'The environment variable KAFKA_PASSWORD, which the pipeline uses for a secret, is empty.',
    ],
  ])('the variable of %j', async (environment, message) => {
    expect((await refusal({ env: 'KAFKA_PASSWORD' }, environment)).message).toBe(message);
  });

  it.each([
    ['', 'is empty'],
    ['x'.repeat(1024 * 1024 + 1), 'is longer than 1 MiB'],
    [Buffer.from('s3cr\xe9t', 'latin1'), 'is not UTF-8 text'],
  ])('a file by what it holds (%#)', async (content, problem) => {
    const reference = await fileWith(content);
    const failure = await refusal(reference);
    expect(failure.message).toBe(
      `The file ${reference.file}, which the pipeline uses for a secret, ${problem}.`,
    );
    expect(JSON.stringify([failure, failure.stack, failure.cause])).not.toMatch(/s3cr|xxx/);
  });

  it('a file that is not there, or is none', async () => {
    const missing = join(folder, 'missing');
    expect((await refusal({ file: missing })).message).toContain(`${missing}, which the pipeline uses`);
    expect((await refusal({ file: missing })).message).toContain('does not exist');
    expect((await refusal({ file: folder })).message).toContain('cannot be read: EISDIR');
  });

  it.skipIf(process.getuid?.() === 0)('a file that may not be read', async () => {
    const reference = await fileWith('s3cret');
    await chmod(reference.file, 0);
    expect((await refusal(reference)).message).toContain('cannot be read: EACCES');
  });

  it('a file without an end', async () => {
    expect((await refusal({ file: '/dev/zero' })).message).toContain('is longer than 1 MiB');
  });
});
