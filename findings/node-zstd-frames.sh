#!/usr/bin/env bash
# Node's zstd decompressors return the first of several frames and no error.
#
# Surprise:  zstdDecompressSync and zstdDecompress return the content of the first frame and drop the rest. The stream
#            of createZstdDecompress returns all frames or only the first, by how its input happens to be cut into chunks:
#            a frame is lost when it begins within a chunk in which another one ended.
# Expected:  all of it, or an error. RFC 8878, section 3.1: data is one or more frames, and their contents follow on one
#            another. gunzipSync, gunzip and createGunzip of the same module do so with the members of gzip, and fzstd,
#            an independent decoder, does so with these very frames.
# Versions:  Node 24.21.0 (its zstd is 1.5.7), fzstd 0.1.1
# Seen:      2026-11-29
# Upstream:  nodejs/node#64741 tells it of the stream
# Needs:     npm
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

npm install --prefix . --no-save --ignore-scripts=false --silent node@24.21.0 fzstd@0.1.1

cat >frames.mjs <<'JS'
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import * as zlib from 'node:zlib';
import { decompress } from 'fzstd';

console.log(`Node ${process.versions.node}, zstd ${process.versions.zstd}`);

const words = ['one ', 'two ', 'three'];
const formats = {
  gzip: [zlib.gzipSync, zlib.gunzipSync, zlib.gunzip, zlib.createGunzip],
  zstd: [zlib.zstdCompressSync, zlib.zstdDecompressSync, zlib.zstdDecompress, zlib.createZstdDecompress],
};
for (const [format, [compress, sync, callback, stream]] of Object.entries(formats)) {
  const pieces = words.map((word) => compress(word));
  const whole = Buffer.concat(pieces);
  const bytes = [...whole].map((byte) => Buffer.of(byte));
  const streamed = (chunks) => text(Readable.from(chunks).pipe(stream()));
  console.log(`${format}, sync: ${sync(whole)}`);
  console.log(`${format}, callback: ${await promisify(callback)(whole)}`);
  console.log(`${format}, stream, all in one chunk: ${await streamed([whole])}`);
  console.log(`${format}, stream, a chunk each: ${await streamed(pieces)}`);
  console.log(`${format}, stream, byte by byte: ${await streamed(bytes)}`);
  if (format === 'zstd') console.log(`${format}, fzstd: ${Buffer.from(decompress(whole))}`);
}
JS

cat >expected <<'TEXT'
Node 24.21.0, zstd 1.5.7
gzip, sync: one two three
gzip, callback: one two three
gzip, stream, all in one chunk: one two three
gzip, stream, a chunk each: one two three
gzip, stream, byte by byte: one two three
zstd, sync: one 
zstd, callback: one 
zstd, stream, all in one chunk: one 
zstd, stream, a chunk each: one two three
zstd, stream, byte by byte: one two three
zstd, fzstd: one two three
TEXT

node_modules/.bin/node frames.mjs | tee seen
diff expected seen || { echo 'CHANGED: see the lines above (< as recorded, > now).'; exit 1; }
echo 'UNCHANGED'
