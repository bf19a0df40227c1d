/**
 * What an e2e test begins with, as fixtures: its own place among the servers, and an end of all that it began
 * there.
 */
import { join } from 'node:path';
import type { Client } from '@temporalio/client';
import type { Message } from 'kafkajs';
import { test as base } from 'vitest';
import { Tidemark } from '../../../src/client.ts';
import {
  environment,
  servedEnvironment,
  startWorker,
  temporalClient,
  temporaryFolder,
  writePipeline,
} from './harness.ts';
import type { WorkerProcess } from './processes.ts';
import { createTopic, type ProduceOptions, produce, type TopicOptions, uniqueName } from './topics.ts';

/** Of a pipeline's file. */
export type Sections = Readonly<Record<string, object> & Record<'source', object>>;

export class Place {
  readonly brokers: string;
  /** The test's own, removed when it ends. */
  readonly folder: string;
  /** What our processes need to find the servers and the pipelines. */
  readonly env: Readonly<Record<string, string>>;

  constructor(folder: string, env: Readonly<Record<string, string>>) {
    this.brokers = env.KAFKA_BROKERS ?? '';
    this.folder = folder;
    this.env = env;
  }

  /** Here, but with other servers, or with pipelines elsewhere. */
  with(env: Readonly<Record<string, string>>): Place {
    return new Place(this.folder, { ...this.env, ...env });
  }

  /** Of the table, where there is one. */
  get location(): string {
    return join(this.folder, 'table');
  }

  /** A topic with these records. @returns its unique name */
  async topic(
    prefix: string,
    messages: readonly Message[] = [],
    options: Partial<TopicOptions> & ProduceOptions = {},
  ): Promise<string> {
    const { partitions = 1, ...more } = options;
    const topic = await createTopic(this.brokers, { name: uniqueName(prefix), partitions, ...more });
    if (messages.length > 0) await produce(this.brokers, topic, messages, options);
    return topic;
  }

  /**
   * Writes a pipeline's file, or writes it again; sections that are left out are those of a table at
   * `location`, from our brokers. @returns the name
   */
  async pipeline(name: string, { source, table, ...sections }: Sections): Promise<string> {
    return await writePipeline(this.env.TIDEMARK_PIPELINES ?? '', name, {
      source: { bootstrapServers: this.brokers, ...source },
      table: { location: this.location, ...table },
      ...sections,
    });
  }

  /** A Temporal client of the place's namespace. */
  async temporal(): Promise<Client> {
    return await temporalClient(this.env.TEMPORAL_NAMESPACE, this.env.TEMPORAL_ADDRESS);
  }

  async client(): Promise<Tidemark> {
    return new Tidemark(await this.temporal());
  }

  /** A worker that polls, until the test ends. */
  async worker(
    env: Readonly<Record<string, string>> = {},
    args: readonly string[] = [],
    cli?: string,
  ): Promise<WorkerProcess> {
    const worker = startWorker({ ...this.env, ...env }, args, cli);
    await worker.ready();
    return worker;
  }
}

interface Places {
  readonly folder: string;
  /** With no worker but those that the test starts, and stops, holds, kills. */
  readonly own: Place;
  /** Where the worker of the run is, for tests that need one and do nothing to it. */
  readonly served: Place;
}

export const test = base.extend<Places>({
  // Not by a fixture's own end: that comes before what the test has left to `onTestFinished`, such as workers
  // that write there.
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern what a fixture needs
  folder: async ({}, use) => use(await temporaryFolder()),
  own: async ({ folder }, use) => use(new Place(folder, environment(folder))),
  served: async ({ folder }, use) => use(new Place(folder, servedEnvironment())),
});

export const it = test;
