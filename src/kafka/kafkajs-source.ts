/**
 * The only importer of kafkajs, which gives us connections: sockets, TLS, SASL, request framing. Its deep
 * modules have no types and no promise between versions; a test fails on any other version than 2.2.4.
 */
import { createRequire } from 'node:module';
import type { Socket } from 'node:net';
import { assert, Failure } from '../errors.ts';
import type { Connections } from './cluster-source.ts';
import { Responses } from './responses.ts';
import type { SourceConnection } from './source-specification.ts';
import { Unavailable, unreachable } from './unavailable.ts';
import { API, type WireRequest } from './wire.ts';

/** One request takes so long at most; a fetch that brings nothing is answered long before. */
const REQUEST_TIMEOUT_MS = 30_000;

const DEFAULT_PORT = 9092;

/** What the broker's log and quotas call us. */
const CLIENT_ID = 'tidemark';

/** One connection per broker and purpose, opened when it is first needed. */
export class KafkajsConnections implements Connections {
  readonly #bootstrapServers: readonly string[];
  /** Of one step: the TCP connect, the exchange of versions. Both together fit into a server's share. */
  readonly #stepTimeoutMs: number;
  readonly #lanes = new Map<string, Promise<Lane>>();
  #closed = false;

  /** @param withinMs for all bootstrap servers together */
  constructor({ bootstrapServers }: SourceConnection, withinMs: number) {
    this.#bootstrapServers = bootstrapServers.map(withPort);
    this.#stepTimeoutMs = Math.max(500, withinMs / 2 / bootstrapServers.length);
  }

  async bootstrap(): Promise<void> {
    await this.anyBroker([]).catch((error: unknown) => {
      if (!(error instanceof Unavailable)) throw error;
      throw unreachable(error);
    });
  }

  async anyBroker(known: Iterable<string>): Promise<string> {
    assert(!this.#closed, 'a closed Kafka source is used');
    const failures: string[] = [];
    for (const address of new Set([...this.#controlLanes(), ...known, ...this.#bootstrapServers])) {
      const failure = await this.#lane(address, 'control').then(() => undefined, asUnavailable);
      if (failure === undefined) return address;
      failures.push(failure.message);
    }
    throw new Unavailable(failures.join('\n'));
  }

  async maxVersion(address: string, apiKey: number): Promise<number> {
    const lane = await this.#lane(address, 'control');
    return lane.versions[apiKey]?.maxVersion ?? -1;
  }

  async send<Response>(address: string, request: WireRequest<Response>): Promise<Response> {
    assert(!this.#closed, 'a closed Kafka source is used');
    // A fetch waits at the broker, and a broker answers one connection's requests in turn.
    const lane = await this.#lane(address, request.apiKey === API.fetch ? 'fetch' : 'control');
    const { apiKey, apiVersion, apiName, body } = request;
    const payload = await lane.connection
      .send({
        request: { apiKey, apiVersion, apiName, encode: async () => ({ buf: body, buffer: body }) },
        response: { decode: async (payload) => payload, parse: async (payload) => payload },
        requestTimeout: REQUEST_TIMEOUT_MS,
        logResponseError: false,
      })
      .catch(async (error: unknown) => {
        await lane.shut();
        throw asUnavailable(error, address);
      });
    try {
      return request.decode(payload, () => lane.responses.release(payload));
    } catch (cause) {
      throw new Failure(
        'KAFKA_PROTOCOL',
        `The answer of ${address} to ${apiName} v${apiVersion} cannot be read: ${(cause as Error).message}.`,
        'Check that this address is a Kafka broker, version 2.3 or later.',
        { cause },
      );
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const lanes = await Promise.allSettled(this.#lanes.values());
    await Promise.all(lanes.map((lane) => (lane.status === 'fulfilled' ? lane.value.shut() : undefined)));
  }

  #controlLanes(): string[] {
    return [...this.#lanes.keys()].filter((key) => key.startsWith('control ')).map((key) => key.slice(8));
  }

  /** A lost connection is never reused: kafkajs keeps what it had half received. */
  async #lane(address: string, purpose: 'control' | 'fetch'): Promise<Lane> {
    const key = `${purpose} ${address}`;
    const known = this.#lanes.get(key);
    if (known !== undefined) {
      const lane = await known.catch(() => undefined);
      if (lane?.connection.isConnected()) return lane;
      if (this.#lanes.get(key) === known) this.#lanes.delete(key);
      return this.#lane(address, purpose);
    }
    const opening = openLane(address, this.#stepTimeoutMs);
    this.#lanes.set(key, opening);
    return opening.catch((error: unknown) => {
      if (this.#lanes.get(key) === opening) this.#lanes.delete(key);
      throw asUnavailable(error, address);
    });
  }
}

interface Lane {
  readonly connection: KafkajsConnection;
  readonly versions: ApiVersions;
  readonly responses: Responses;
  shut(): Promise<void>;
}

async function openLane(address: string, stepTimeoutMs: number): Promise<Lane> {
  const { host, port } = parseAddress(address);
  const sockets: Socket[] = [];
  const pool = new ConnectionPool({
    host,
    port,
    clientId: CLIENT_ID,
    rack: null,
    ssl: null,
    sasl: null,
    logger: SILENT,
    socketFactory: (options: unknown) => {
      const socket = defaultSocketFactory(options);
      sockets.push(socket);
      return socket;
    },
    connectionTimeout: stepTimeoutMs,
    requestTimeout: stepTimeoutMs,
    enforceRequestTimeout: true,
    maxInFlightRequests: null,
  });
  const [connection] = pool.pool;
  const shut = async () => {
    connection.rejectRequests(new Error(`the connection to ${address} was closed`));
    await connection.disconnect();
    for (const socket of sockets) socket.destroy();
  };
  calmQueue(connection.requestQueue);
  const broker = new Broker({ connectionPool: pool, logger: SILENT, allowAutoTopicCreation: false });
  try {
    await broker.connect();
  } catch (error) {
    await shut();
    throw error;
  }
  const versions = broker.versions ?? {};
  const responses = receiveResponses(connection);
  if ((versions[API.fetch]?.maxVersion ?? 0) >= 11) return { connection, versions, responses, shut };
  await shut();
  throw new Failure(
    'KAFKA_PROTOCOL',
    `${address} is a Kafka broker older than 2.3.`,
    'Upgrade the brokers, or mirror the topics to a current cluster.',
  );
}

/**
 * kafkajs 2.2.4 checks its empty queue every millisecond for ever, by a timer of negative length. We send
 * without limits in flight, so requests are pending only while a broker throttles.
 */
function calmQueue(queue: KafkajsConnection['requestQueue']): void {
  queue.scheduleCheckPendingRequests = () => {
    if (queue.pending.length === 0) return;
    setTimeout(() => queue.checkPendingRequests(), Math.max(10, queue.throttledUntil - Date.now()));
  };
}

/** kafkajs 2.2.4 keeps all pieces of a response, to join them in fresh memory. */
function receiveResponses(connection: KafkajsConnection): Responses {
  const responses = new Responses();
  connection.processData = (piece) => {
    try {
      for (const response of responses.take(piece)) {
        const correlationId = response.readInt32BE(0);
        const payload = response.subarray(CORRELATION_ID_BYTES);
        connection.requestQueue.fulfillRequest({ size: response.length, correlationId, payload });
      }
    } catch (error) {
      connection.rejectRequests(error as Error);
      void connection.disconnect();
    }
  };
  return responses;
}

const CORRELATION_ID_BYTES = 4;

/**
 * Connection errors of kafkajs and of the system become `Unavailable`; bugs and our own failures stay as they
 * are.
 */
function asUnavailable(error: unknown, address?: string): Unavailable {
  if (error instanceof Unavailable) return error;
  if (error instanceof Failure) throw error;
  const { name, message } = error as Error;
  if (!name.startsWith('KafkaJS') && name !== 'Error') throw error;
  return new Unavailable(address === undefined ? message : `${address}: ${message}`, { cause: error });
}

function withPort(server: string): string {
  return /:\d+$/.test(server) && !/^[^[]*:[^[]*:/.test(server) ? server : `${server}:${DEFAULT_PORT}`;
}

function parseAddress(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(':');
  return { host: address.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(address.slice(colon + 1)) };
}

// What we use of kafkajs's deep modules, typed by hand.

type ApiVersions = Readonly<Record<number, { readonly minVersion: number; readonly maxVersion: number }>>;

interface KafkajsConnection {
  readonly requestQueue: {
    readonly pending: readonly unknown[];
    readonly throttledUntil: number;
    checkPendingRequests(): void;
    scheduleCheckPendingRequests: () => void;
    fulfillRequest(response: {
      readonly size: number;
      readonly correlationId: number;
      readonly payload: Buffer;
    }): void;
  };
  /** Of every piece that the socket has read. */
  processData: (piece: Buffer) => void;
  isConnected(): boolean;
  /** `encode` answers with what kafkajs takes for its own Encoder. */
  send(exchange: {
    readonly request: {
      readonly apiKey: number;
      readonly apiVersion: number;
      readonly apiName: string;
      encode(): Promise<{ readonly buf: Buffer; readonly buffer: Buffer }>;
    };
    readonly response: {
      decode(payload: Buffer): Promise<Buffer>;
      parse(payload: Buffer): Promise<Buffer>;
    };
    readonly requestTimeout: number;
    readonly logResponseError: boolean;
  }): Promise<Buffer>;
  rejectRequests(error: Error): void;
  disconnect(): Promise<boolean>;
}

interface KafkajsPool {
  readonly pool: readonly [KafkajsConnection, KafkajsConnection];
}

interface KafkajsBroker {
  readonly versions: ApiVersions | null;
  connect(): Promise<void>;
}

const require = createRequire(import.meta.url);
const ConnectionPool = require('kafkajs/src/network/connectionPool') as new (
  options: Readonly<Record<string, unknown>>,
) => KafkajsPool;
const Broker = require('kafkajs/src/broker') as new (
  options: Readonly<Record<string, unknown>>,
) => KafkajsBroker;
const createSocketFactory = require('kafkajs/src/network/socketFactory') as () => (
  options: unknown,
) => Socket;
const defaultSocketFactory = createSocketFactory();
const { createLogger, LEVELS } = require('kafkajs/src/loggers') as {
  createLogger(options: { level: number; logCreator: () => () => void }): unknown;
  LEVELS: { NOTHING: number };
};
/** What kafkajs would print comes to us as errors anyway. */
const SILENT = createLogger({ level: LEVELS.NOTHING, logCreator: () => () => {} });
