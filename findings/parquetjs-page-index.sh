#!/usr/bin/env bash
# parquetjs's page index says of every page that it begins with row 0, and readers that use the index lose rows.
#
# Surprise:  @dsnp/parquetjs writes a page index unless told otherwise. Where a column has several pages in a row group, its
#            offset index says first_row_index 0 for each of them. delta-rs, which skips pages by that index, then finds rows
#            of the last page only, without an error. hyparquet finds a row of the first page.
# Expected:  the rows that match. Parquet's PageLocation.first_row_index is the page's first row within the row group. The
#            same rows written with pageIndex: false are all found.
# Versions:  @dsnp/parquetjs 1.8.9 on Node 24.21.0, hyparquet 1.31.5, deltalake 1.6.6 with arro3-core 0.9.1
# Seen:      2026-11-29
# Needs:     npm; python3 (3.10 or newer) with venv
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

npm install --prefix . --no-save --ignore-scripts=false --silent node@24.21.0 @dsnp/parquetjs@1.8.9 hyparquet@1.31.5
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check deltalake==1.6.6 arro3-core==0.9.1

cat >write.mjs <<'JS'
import { mkdir, readFile } from 'node:fs/promises';
import parquetjs from '@dsnp/parquetjs';
import { parquetMetadata, parquetReadObjects } from 'hyparquet';
import { readOffsetIndex } from 'hyparquet/src/indexes.js';

// A page is 8192 rows unless told otherwise; the row group is to hold several.
for (const [name, options] of Object.entries({ indexed: {}, plain: { pageIndex: false } })) {
  await mkdir(name);
  const schema = new parquetjs.ParquetSchema({ id: { type: 'INT32' } });
  const writer = await parquetjs.ParquetWriter.openFile(schema, `${name}/rows.parquet`, { rowGroupSize: 20_000, ...options });
  for (let id = 0; id < 20_000; id++) await writer.appendRow({ id });
  await writer.close();
}

const file = await readFile('indexed/rows.parquet');
const bytes = file.buffer.slice(file.byteOffset, file.byteOffset + file.length);
const [chunk] = parquetMetadata(bytes).row_groups[0].columns;
const view = new DataView(bytes, Number(chunk.offset_index_offset), chunk.offset_index_length);
const { page_locations } = readOffsetIndex({ view, offset: 0 });
console.log(`first_row_index of the pages: ${page_locations.map(({ first_row_index }) => first_row_index).join(', ')}`);
const found = await parquetReadObjects({ file: bytes, filter: { id: { $eq: 4 } } });
console.log(`indexed, id = 4, hyparquet: ${found.length}`);
JS

cat >read.py <<'PYTHON'
import deltalake
from deltalake import DeltaTable, QueryBuilder, convert_to_deltalake

print(f"deltalake {deltalake.__version__}")
for name in ("indexed", "plain"):
    convert_to_deltalake(name)
    builder = QueryBuilder().register("t", DeltaTable(name))
    for where in ("true", "id = 4", "id = 9000", "id = 19999"):
        found = builder.execute(f"SELECT count(*) AS n FROM t WHERE {where}").read_all()
        print(f"{name}, {where}: {found['n'][0].as_py()}")
PYTHON

cat >expected <<'TEXT'
first_row_index of the pages: 0, 0, 0
indexed, id = 4, hyparquet: 1
deltalake 1.6.6
indexed, true: 20000
indexed, id = 4: 0
indexed, id = 9000: 0
indexed, id = 19999: 1
plain, true: 20000
plain, id = 4: 1
plain, id = 9000: 1
plain, id = 19999: 1
TEXT

{ node_modules/.bin/node write.mjs && venv/bin/python read.py; } | tee seen
diff expected seen || { echo 'CHANGED: see the lines above (< as recorded, > now).'; exit 1; }
echo 'UNCHANGED'
