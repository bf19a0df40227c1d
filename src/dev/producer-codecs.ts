import { promisify } from 'node:util';
import { zstdCompress, zstdDecompress } from 'node:zlib';
import kafkajs from 'kafkajs';
import { compressFrame, decompressFrame } from 'lz4-napi';
import { compress, uncompress } from 'snappy';

interface KafkajsEncoder {
  readonly buffer: Buffer;
}

/** Teaches kafkajs the codecs that it lacks, for the producers of the demo and the tests: it brings gzip only. Process-wide. */
export function registerCodecs(): void {
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
