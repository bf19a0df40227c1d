/**
 * Goal: an answer that is cut off is an error, never half an answer. Method: answers composed after the
 * protocol's grammar, read whole and at every shorter length. That the messages are right is proved against a
 * broker (e2e).
 */
import { expect, it } from 'vitest';
import {
  API,
  cleanupPolicyRequest,
  fetchRequest,
  findCoordinatorRequest,
  listOffsetsRequest,
  metadataRequest,
  offsetCommitRequest,
  type WireRequest,
} from '../../src/kafka/wire.ts';

const int16 = (value: number) => [(value >> 8) & 255, value & 255];
const int32 = (value: number) => [...int16(value >> 16), ...int16(value)];
const int64 = (value: number) => [...int32(value < 0 ? -1 : 0), ...int32(value)];
const text = (value: string) => [...int16(value.length), ...Buffer.from(value)];
const compact = (value: string) => [value.length + 1, ...Buffer.from(value)];
const ID = Array.from({ length: 16 }, (_, i) => i + 1);

const position = { topic: 't', kafkaPartition: 3, position: 5n, maxBytes: 1, maxWaitMs: 1 };
const CASES: readonly (readonly [string, WireRequest<unknown>, number[], unknown])[] = [
  [
    'Fetch v11',
    fetchRequest({ ...position, isolation: 'read_committed' }),
    [
      ...[...int32(0), ...int16(0), ...int32(0), ...int32(1), ...text('t'), ...int32(1)],
      ...[...int32(3), ...int16(1), ...int64(9), ...int64(8), ...int64(7)],
      ...[...int32(1), ...int64(70), ...int64(4), ...int32(-1), ...int32(2), 0xaa, 0xbb],
    ],
    {
      errorCode: 1,
      abortedTransactions: [{ producerId: 70n, firstOffset: 4n }],
      records: Buffer.of(0xaa, 0xbb),
    },
  ],
  [
    'ListOffsets v3',
    listOffsetsRequest([{ topic: 't', kafkaPartition: 3, timestampMs: -1 }], 'read_committed'),
    [
      ...int32(0),
      ...int32(1),
      ...text('t'),
      ...int32(1),
      ...int32(3),
      ...int16(6),
      ...int64(-1),
      ...int64(42),
    ],
    [{ topic: 't', kafkaPartition: 3, errorCode: 6, offset: 42n }],
  ],
  [
    'FindCoordinator v2',
    findCoordinatorRequest('tidemark.products'),
    [...int32(0), ...int16(15), ...int16(-1), ...int32(2), ...text('host'), ...int32(9093)],
    { errorCode: 15, address: 'host:9093' },
  ],
  [
    'OffsetCommit v6',
    offsetCommitRequest('tidemark.products', [{ topic: 't', kafkaPartition: 3, offset: 42n }]),
    [...int32(0), ...int32(1), ...text('t'), ...int32(1), ...int32(3), ...int16(25)],
    [{ topic: 't', kafkaPartition: 3, errorCode: 25 }],
  ],
  [
    'DescribeConfigs v2',
    cleanupPolicyRequest(['t']),
    [
      ...[...int32(0), ...int32(1), ...int16(0), ...int16(-1), 2, ...text('t'), ...int32(1)],
      ...[...text('cleanup.policy'), ...text('compact'), 0, 5, 0, ...int32(0)],
    ],
    new Map([['t', 'compact']]),
  ],
  [
    'Metadata v12, with tagged fields that we do not know',
    metadataRequest(['t'], 12),
    [
      ...[0, ...int32(0), 2, ...int32(1), ...compact('::1'), ...int32(9092), 0, 1, 77, 2, 0xff, 0xff],
      ...[...compact('cluster'), ...int32(1), 2, ...int16(0), ...compact('t'), ...ID, 0],
      ...[2, ...int16(0), ...int32(3), ...int32(1), ...int32(0), 2, ...int32(1), 2, ...int32(1), 1, 0],
      ...[...int32(0), 0, 0],
    ],
    {
      clusterId: 'cluster',
      brokers: new Map([[1, '[::1]:9092']]),
      topics: [
        {
          topic: 't',
          errorCode: 0,
          topicId: Buffer.from(ID).toString('hex'),
          isInternal: false,
          partitions: [{ kafkaPartition: 3, leader: 1 }],
        },
      ],
    },
  ],
];

it.each(CASES)('%s', (_name, request, bytes, expected) => {
  const payload = Buffer.from(bytes);
  const release = () => {};
  const decoded = request.decode(payload, release);
  expect(decoded).toEqual(request.apiKey === API.fetch ? { ...(expected as object), release } : expected);
  // The last byte of Metadata is the tag section after all that we read.
  const needed = request.apiVersion === 12 ? payload.length - 1 : payload.length;
  for (let length = 0; length < needed; length++) {
    expect(() => request.decode(payload.subarray(0, length), () => {}), `${length} bytes`).toThrow(
      RangeError,
    );
  }
});
