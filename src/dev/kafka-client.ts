import { promisify } from 'node:util';
import { zstdCompress, zstdDecompress } from 'node:zlib';
import kafkajs from 'kafkajs';
import { compressFrame, decompressFrame } from 'lz4-napi';
import { compress, uncompress } from 'snappy';

/**
 * A kafkajs client for what surrounds a pipeline, servers, demo and tests: it administers and produces, in
 * every codec. Pipelines read through `src/kafka`.
 */
export function kafkaClient(
  brokers: string,
  clientId: string,
  config: Omit<Partial<kafkajs.KafkaConfig>, 'brokers' | 'clientId'> = {},
): kafkajs.Kafka {
  registerCodecs();
  silenceNegativeTimeouts();
  return new kafkajs.Kafka({
    clientId,
    brokers: brokers.split(','),
    logLevel: kafkajs.logLevel.NOTHING,
    ...config,
  });
}

interface KafkajsEncoder {
  readonly buffer: Buffer;
}

/** kafkajs brings gzip only. */
function registerCodecs(): void {
  const codecs = kafkajs.CompressionCodecs;
  codecs[kafkajs.CompressionTypes.Snappy] = () => ({
    compress: ({ buffer }: KafkajsEncoder) => compress(buffer),
    decompress: (buffer: Buffer) => uncompress(buffer),
  });
  codecs[kafkajs.CompressionTypes.LZ4] = () => ({
    compress: ({ buffer }: KafkajsEncoder) => compressFrame(buffer),
    decompress: (buffer: Buffer) => decompressFrame(buffer),
  });
  codecs[kafkajs.CompressionTypes.ZSTD] = () => ({
    compress: ({ buffer }: KafkajsEncoder) => promisify(zstdCompress)(buffer),
    decompress: (buffer: Buffer) => promisify(zstdDecompress)(buffer),
  });
}

let silenced = false;

/**
 * kafkajs sets timers into the past, of which Node warns once a process: harmless, and nothing that a user
 * could mend.
 */
function silenceNegativeTimeouts(): void {
  if (silenced) return;
  silenced = true;
  const emitWarning = process.emitWarning.bind(process) as (...args: unknown[]) => void;
  process.emitWarning = (warning: string | Error, ...rest: unknown[]) => {
    if (rest[0] !== 'TimeoutNegativeWarning') emitWarning(warning, ...rest);
  };
}
