"""usage: delta_rs.py LOCATION

Another writer of one of our tables: does with delta-rs what each line of its input says, {"do": NAME, ...}, and answers with a line.
"""

import json
import sys

import pyarrow as pa
from deltalake import DeltaTable, Field, QueryBuilder, write_deltalake
from deltalake.schema import PrimitiveType

location = sys.argv[1]


def table():
    return DeltaTable(location)


def ids(*some):
    return pa.table({"id": pa.array(some, pa.int64())})


def read(version=None):
    """The ids at a version, sorted, and the offset of Kafka's partition 0."""
    at = DeltaTable(location, version=version)
    rows = pa.table(QueryBuilder().register("t", at).execute("SELECT id FROM t")).column("id").to_pylist()
    return {"version": at.version(), "ids": sorted(rows), "offset": at.transaction_version("tidemark/t/0")}


def loop(first, count):
    """Appends one row at a time; every fifth time it also puts all small files together."""
    conflicts = 0
    for i in range(first, first + count):
        write_deltalake(location, ids(i), mode="append")
        if i % 5 == 4:
            try:
                table().optimize.compact()
            except Exception as error:
                if "onflict" not in str(error) and "concurrent" not in str(error).lower():
                    raise
                conflicts += 1
    return conflicts


def overwrite_schema():
    write_deltalake(location, pa.table({"id": pa.array(["a"])}), mode="overwrite", schema_mode="overwrite")


DO = {
    "append": lambda asked: write_deltalake(location, ids(*asked), mode="append"),
    "delete": lambda predicate: table().delete(predicate)["num_deleted_rows"],
    "update": lambda asked: table().update({"id": asked[0]}, predicate=asked[1])["num_updated_rows"],
    "compact": lambda _: table().optimize.compact()["numFilesAdded"],
    "vacuum": lambda _: table().vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=True),
    "checkpoint": lambda _: table().create_checkpoint(),
    "cleanup": lambda _: table().cleanup_metadata(),
    "overwrite": lambda asked: write_deltalake(location, ids(*asked), mode="overwrite"),
    "overwriteSchema": lambda _: overwrite_schema(),
    "addColumn": lambda name: table().alter.add_columns([Field(name, PrimitiveType("double"))]),
    "restore": lambda version: table().restore(version) and None,
    "loop": lambda asked: loop(*asked),
    "read": lambda version: read(version),
}
for line in sys.stdin:
    what, argument = json.loads(line)
    print(json.dumps(DO[what](argument)), flush=True)
