import { createReadStream } from 'node:fs';
import type { Environment } from './environment.ts';
import { Failure } from './errors.ts';

/**
 * Where a secret lies: a variable of the environment, or a file of the machine, by its absolute path. A
 * specification holds the reference and never the secret, so that neither the stored specification nor its
 * hash does; each process that needs the secret resolves it for itself.
 */
export type SecretReference = { readonly env: string } | { readonly file: string };

/** Of a secret: room for a chain of certificates, not for a file that was named by mistake. */
const SECRET_BYTES_MAX = 1024 * 1024;

/**
 * The secret, without a line break at its end. A file is read at each call, so that a rotated secret is
 * found.
 *
 * Throws CONFIGURATION_INVALID, naming the reference and never a value, where the variable or file is
 * missing, empty, no UTF-8, or longer than 1 MiB.
 */
export async function resolveSecret(reference: SecretReference, environment: Environment): Promise<string> {
  const text = 'env' in reference ? environment[reference.env] : await readSecret(reference.file);
  if (text === undefined) throw unresolved(reference, 'is not set');
  const secret = text.replace(/\r?\n$/, '');
  if (secret === '') throw unresolved(reference, 'is empty');
  return secret;
}

async function readSecret(file: string): Promise<string> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of createReadStream(file, { end: SECRET_BYTES_MAX })) chunks.push(chunk);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw unresolved({ file }, code === 'ENOENT' ? 'does not exist' : `cannot be read: ${code ?? message}`);
  }
  const bytes = Buffer.concat(chunks);
  if (bytes.length > SECRET_BYTES_MAX) throw unresolved({ file }, 'is longer than 1 MiB');
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw unresolved({ file }, 'is not UTF-8 text');
  }
}

function unresolved(reference: SecretReference, problem: string): Failure {
  const isVariable = 'env' in reference;
  const name = isVariable ? `The environment variable ${reference.env}` : `The file ${reference.file}`;
  return new Failure(
    'CONFIGURATION_INVALID',
    `${name}, which the pipeline uses for a secret, ${problem}.`,
    `Provide it to every command and every worker that uses the pipeline, or name another ${isVariable ? 'variable' : 'file'}.`,
  );
}
