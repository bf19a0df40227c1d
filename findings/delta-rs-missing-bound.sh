#!/usr/bin/env bash
# delta-rs's Arrow dataset finds no row where one bound of a column is missing from a file's statistics.
#
# Surprise:  DeltaTable.to_pyarrow_dataset() compares the column with a null bound, so the file is skipped by every
#            filter on the values of that column, and its rows are missing from the result. An infinity is enough: delta-rs
#            itself writes such a file, since JSON has no number for the bound. So is a bound that another writer left out.
# Expected:  the rows that match. Statistics are optional in the Delta protocol, column by column; without a bound a file
#            cannot be skipped. delta-rs's own SQL over the same tables finds the rows, and so does the dataset where a
#            file has no bounds at all.
# Versions:  deltalake 1.6.6, pyarrow 26.0.1, arro3-core 0.9.1
# Seen:      2026-11-29
# Needs:     python3 (3.10 or newer) with venv
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check deltalake==1.6.6 pyarrow==26.0.1 arro3-core==0.9.1

cat >bounds.py <<'PYTHON'
import json
import math
import os

import deltalake
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from deltalake import DeltaTable, QueryBuilder, write_deltalake

FIELDS = [{"name": name, "type": type, "nullable": True, "metadata": {}} for name, type in (("id", "long"), ("x", "double"))]


def put_table(location, rows, stats):
    """A table of one file whose log says `stats` of it."""
    os.makedirs(f"{location}/_delta_log")
    pq.write_table(rows, f"{location}/rows.parquet")
    size = os.path.getsize(f"{location}/rows.parquet")
    meta = {"id": "00000000-0000-4000-8000-000000000001", "format": {"provider": "parquet", "options": {}}}
    meta |= {"schemaString": json.dumps({"type": "struct", "fields": FIELDS}), "partitionColumns": [], "configuration": {}}
    add = {"path": "rows.parquet", "partitionValues": {}, "size": size, "modificationTime": 1, "dataChange": True}
    actions = [
        {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
        {"metaData": meta},
        {"add": add | {"stats": json.dumps(stats)}},
    ]
    with open(f"{location}/_delta_log/00000000000000000000.json", "w") as log:
        log.writelines(json.dumps(action) + "\n" for action in actions)


def report(name, location):
    table = DeltaTable(location)
    with open(f"{location}/_delta_log/00000000000000000000.json") as log:
        stats = next(json.loads(action["add"]["stats"]) for action in map(json.loads, log) if "add" in action)
    print(f"{name}: min {json.dumps(stats.get('minValues'), sort_keys=True)}, max {json.dumps(stats.get('maxValues'), sort_keys=True)}")
    rows = table.to_pyarrow_dataset().count_rows(filter=ds.field("x") == 1.5)
    print(f"  dataset, x = 1.5: {rows} of {table.to_pyarrow_dataset().count_rows()} rows")
    found = QueryBuilder().register("t", table).execute("SELECT count(*) AS n FROM t WHERE x = 1.5").read_all()
    print(f"  SQL, x = 1.5: {found['n'][0].as_py()}")


print(f"deltalake {deltalake.__version__}, pyarrow {pa.__version__}")

write_deltalake("infinity", pa.table({"id": [1, 2, 3], "x": [0.5, 1.5, math.inf]}))
report("written by delta-rs, with an infinity", "infinity")

finite = pa.table({"id": [1, 2, 3], "x": [0.5, 1.5, 2.5]})
nulls = {"id": 0, "x": 0}
put_table("one", finite, {"numRecords": 3, "minValues": {"id": 1}, "maxValues": {"id": 3}, "nullCount": nulls})
report("bounds of the other column alone", "one")
put_table("none", finite, {"numRecords": 3, "nullCount": nulls})
report("no bounds", "none")
put_table("all", finite, {"numRecords": 3, "minValues": {"id": 1, "x": 0.5}, "maxValues": {"id": 3, "x": 2.5}, "nullCount": nulls})
report("all bounds", "all")
PYTHON

cat >expected <<'TEXT'
deltalake 1.6.6, pyarrow 26.0.1
written by delta-rs, with an infinity: min {"id": 1, "x": 0.5}, max {"id": 3, "x": null}
  dataset, x = 1.5: 0 of 3 rows
  SQL, x = 1.5: 1
bounds of the other column alone: min {"id": 1}, max {"id": 3}
  dataset, x = 1.5: 0 of 3 rows
  SQL, x = 1.5: 1
no bounds: min null, max null
  dataset, x = 1.5: 1 of 3 rows
  SQL, x = 1.5: 1
all bounds: min {"id": 1, "x": 0.5}, max {"id": 3, "x": 2.5}
  dataset, x = 1.5: 1 of 3 rows
  SQL, x = 1.5: 1
TEXT

venv/bin/python bounds.py | tee seen
diff expected seen || { echo 'CHANGED: see the lines above (< as recorded, > now).'; exit 1; }
echo 'UNCHANGED'
