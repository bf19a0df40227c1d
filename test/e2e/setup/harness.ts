/**
 * What the e2e files share, bound to the running test: folders and workers that end with it, the addresses of
 * the servers. `topics.ts` and `processes.ts` have what proofs use as well.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { inject, onTestFinished } from 'vitest';
import { stringify } from 'yaml';
import { spawnWorker, type WorkerProcess } from './processes.ts';

export * from './processes.ts';
export * from './topics.ts';

/** A folder that is removed when the running test ends. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-test-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Writes `<folder>/<name>.yaml`. `pipeline` has the shape of the pipeline file. @returns the name */
export async function writePipeline(
  folder: string,
  name: string,
  pipeline: Readonly<Record<string, unknown>>,
): Promise<string> {
  await writeFile(join(folder, `${name}.yaml`), stringify(pipeline));
  return name;
}

/** What our processes need to find the test's servers and its pipelines. */
export function environment(
  pipelines: string,
  extra: Readonly<Record<string, string>> = {},
): Record<string, string> {
  return {
    KAFKA_BROKERS: inject('kafkaBrokers'),
    TEMPORAL_ADDRESS: inject('temporalAddress'),
    TEMPORAL_NAMESPACE: temporalNamespace(),
    TIDEMARK_PIPELINES: pipelines,
    ...extra,
  };
}

/**
 * What reaches the worker of the run: for tests that need one and do nothing to it. Its pipelines lie in one
 * folder.
 */
export function servedEnvironment(): Record<string, string> {
  const { namespace, pipelinesFolder } = inject('served');
  return { ...environment(pipelinesFolder), TEMPORAL_NAMESPACE: namespace };
}

/**
 * Temporal's namespace of this lane: its files run one after the other, so that a worker meets no other
 * file's pipelines.
 */
export function temporalNamespace(): string {
  const namespaces = inject('temporalNamespaces');
  return namespaces[Number(process.env.VITEST_POOL_ID) - 1] ?? '';
}

/** A Temporal client of the test's server, closed with the test. */
export async function temporalClient(
  namespace = temporalNamespace(),
  address = inject('temporalAddress'),
): Promise<Client> {
  const connection = await Connection.connect({ address });
  onTestFinished(() => connection.close());
  return new Client({ connection, namespace });
}

/** Starts a worker that ends with the running test. */
export function startWorker(
  env: Readonly<Record<string, string>>,
  args: readonly string[] = [],
  cli?: string,
): WorkerProcess {
  const worker = spawnWorker(env, args, cli);
  onTestFinished(() => worker.stop('SIGKILL'));
  return worker;
}
