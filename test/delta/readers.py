"""usage: readers.py read LOCATION | readers.py write FOLDER

read: what delta-rs, Polars and DuckDB (over the files that delta-rs lists) find in a table of ours, as JSON.
write: makes tables with delta-rs, one per name, and prints the version and the live files that delta-rs sees.
"""

import json
import os
import sys
import urllib.parse

import duckdb
import polars
import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder, write_deltalake


def read(location):
    table = DeltaTable(location)
    batches = QueryBuilder().register("t", table).execute("SELECT * FROM t")
    rows = pa.table(batches)
    files = table.file_uris()
    counted = duckdb.sql(f"SELECT count(*), sum(id) FROM read_parquet({files!r}, hive_partitioning=false)").fetchall()[0]
    return {
        "version": table.version(),
        "offset": str(table.transaction_version("tidemark/t/0")),
        "deltaRs": sorted(map(list, zip(*[rows[name].to_pylist() for name in sorted(rows.column_names)])), key=repr),
        "polars": sorted(map(list, polars.scan_delta(location).collect().select(sorted(rows.column_names)).rows()), key=repr),
        "duckdb": [counted[0], int(counted[1] or 0)],
        "files": live(location, table),
    }


def live(location, table):
    files = []
    for uri in table.file_uris():
        path = uri.removeprefix("file://")
        files.append(os.path.relpath(path if os.path.exists(path) else urllib.parse.unquote(path), location))
    return sorted(files)


def rows(*ids, p=None):
    columns = {"id": pa.array(ids, pa.int64()), "p": pa.array([p] * len(ids), pa.string())}
    return pa.table(columns)


def appends(location):
    for i in range(3):
        write_deltalake(location, rows(i, i + 10), mode="append")


def deletes(location):
    appends(location)
    DeltaTable(location).delete("id = 1")
    DeltaTable(location).delete("id = 2 or id = 12")


def optimizes(location):
    appends(location)
    DeltaTable(location).optimize.compact()


def checkpoints(location):
    deletes(location)
    DeltaTable(location).create_checkpoint()
    write_deltalake(location, rows(99), mode="append")


def overwrites(location):
    appends(location)
    write_deltalake(location, rows(7), mode="overwrite")


def partitions(location):
    for i, p in enumerate(["a b", "x%y", "ü:1", "p=q", None, "a+b", "100%25"]):
        write_deltalake(location, rows(i, p=p), mode="append", partition_by=["p"])
    DeltaTable(location).delete("p = 'x%y'")
    DeltaTable(location).create_checkpoint()
    DeltaTable(location).delete("p = 'ü:1'")


def write(folder):
    result = {}
    for make in (appends, deletes, optimizes, checkpoints, overwrites, partitions):
        location = os.path.join(folder, make.__name__)
        make(location)
        table = DeltaTable(location)
        result[make.__name__] = {"version": table.version(), "files": live(location, table)}
    return result


print(json.dumps({"read": read, "write": write}[sys.argv[1]](sys.argv[2])))
