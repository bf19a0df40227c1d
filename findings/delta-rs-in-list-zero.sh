#!/usr/bin/env bash
# delta-rs's SQL: whether IN finds a zero of the other sign depends on how many values the list has.
#
# Surprise:  x IN (0.0, 5.0, 6.0) finds the rows that hold 0.0 and those that hold -0.0. With a fourth value, which no row has,
#            it finds those that hold 0.0 only. On a field of a STRUCT two values are enough.
# Expected:  both zeros, whatever else is in the list. They are equal by IEEE 754, and by x = 0.0 of the same SQL; DuckDB finds
#            both each time.
# Versions:  deltalake 1.6.6 with arro3-core 0.9.1, pyarrow 26.0.1, duckdb 2.0.0
# Seen:      2026-11-29
# Upstream:  apache/datafusion#25186
# Needs:     python3 (3.10 or newer) with venv
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check \
  deltalake==1.6.6 arro3-core==0.9.1 pyarrow==26.0.1 duckdb==2.0.0

cat >zeros.py <<'PYTHON'
import deltalake
import duckdb
import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder, write_deltalake

print(f"deltalake {deltalake.__version__}, duckdb {duckdb.__version__}")

values = [0.0, -0.0, 1.0]
rows = pa.table({"x": values, "s": [{"x": value} for value in values]})
write_deltalake("zeros", rows)
delta = QueryBuilder().register("t", DeltaTable("zeros"))
duck = duckdb.connect()
duck.register("t", rows)

for column in ("x", "s['x']"):
    for condition in ("= 0.0", "IN (0.0)", "IN (0.0, 5.0)", "IN (0.0, 5.0, 6.0)", "IN (0.0, 5.0, 6.0, 7.0)"):
        sql = f"SELECT count(*) AS n FROM t WHERE {column} {condition}"
        found = delta.execute(sql).read_all()["n"][0].as_py()
        print(f"{column} {condition}: delta-rs {found}, DuckDB {duck.sql(sql).fetchall()[0][0]}")
PYTHON

cat >expected <<'TEXT'
deltalake 1.6.6, duckdb 2.0.0
x = 0.0: delta-rs 2, DuckDB 2
x IN (0.0): delta-rs 2, DuckDB 2
x IN (0.0, 5.0): delta-rs 2, DuckDB 2
x IN (0.0, 5.0, 6.0): delta-rs 2, DuckDB 2
x IN (0.0, 5.0, 6.0, 7.0): delta-rs 1, DuckDB 2
s['x'] = 0.0: delta-rs 2, DuckDB 2
s['x'] IN (0.0): delta-rs 2, DuckDB 2
s['x'] IN (0.0, 5.0): delta-rs 1, DuckDB 2
s['x'] IN (0.0, 5.0, 6.0): delta-rs 1, DuckDB 2
s['x'] IN (0.0, 5.0, 6.0, 7.0): delta-rs 1, DuckDB 2
TEXT

venv/bin/python zeros.py | tee seen
diff expected seen || { echo 'CHANGED: see the lines above (< as recorded, > now).'; exit 1; }
echo 'UNCHANGED'
