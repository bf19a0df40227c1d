"""usage: read_table.py spark|delta-rs|polars LOCATION [--loop]
       read_table.py duckdb FILES.json [--loop]

Reads a whole Delta table by its log with one engine (DuckDB: the live files that `tidemark files -o json` lists) and prints one line
of JSON about it, see canonical.py. With --loop it reads again and again until its input is closed. Spark needs SPARK_JARS, a folder.
"""

import json
import pathlib
import re
import shutil
import sys
import tempfile
import threading
import time

import pyarrow as pa
import pyarrow.parquet

import canonical


def delta_rs(location):
    """By delta-rs's own engine, DataFusion."""
    from deltalake import DeltaTable, QueryBuilder

    batches = QueryBuilder().register("t", DeltaTable(location)).execute("SELECT * FROM t")
    return pa.RecordBatchReader.from_stream(batches)


def polars(location):
    import polars

    frame = polars.scan_delta(location)
    schema = frame.collect_schema().to_frame().to_arrow().schema
    batches = (
        batch
        for chunk in frame.collect_batches(maintain_order=False)
        for batch in chunk.to_arrow().cast(schema).to_batches()
    )
    return pa.RecordBatchReader.from_batches(schema, batches)


def report_duckdb(listing):
    files = json.load(open(listing))
    started = time.time()
    connection = canonical.connect()
    register_live_files(connection, files, *schema_in_log(files[0]["path"]))
    arrow = connection.sql("SELECT * FROM live LIMIT 0").to_arrow_table().schema
    canonical.report("duckdb", started, connection, "live", arrow)


def register_live_files(connection, files, schema, partition_columns):
    """As the view `live`. One scan of the files; their partition values are joined by file, as the log has them. DuckDB knows no log
    here: columns take the types that the log's schema gives them."""
    paths = [file["path"] for file in files]
    connection.register(
        "partition_values",
        pa.table(
            {"filename": pa.array(paths, pa.string())}
            | {
                name: pa.array([file["partitionValues"].get(name) or None for file in files], pa.string())
                for name in partition_columns
            }
        ),
    )
    names = ", ".join("'" + re.sub(r"[\[*?]", r"[\g<0>]", path).replace("'", "''") + "'" for path in paths)
    source = f"read_parquet([{names}], hive_partitioning = false, union_by_name = true, filename = true)"
    in_files = set(connection.sql(f"SELECT * FROM {source} LIMIT 0").columns)
    columns = []
    for field in schema["fields"]:
        name = canonical.quoted(field["name"])
        value = f"v.{name}" if field["name"] in partition_columns else f"r.{name}" if field["name"] in in_files else "NULL"
        columns.append(f"CAST({value} AS {sql_type(field['type'])}) AS {name}")
    connection.execute(
        f"CREATE VIEW live AS SELECT {', '.join(columns)} FROM {source} r JOIN partition_values v USING (filename)"
    )


def schema_in_log(file):
    """Of the table that has this file: its newest schema, as Delta's JSON has it, and its partition columns."""
    table = next(parent for parent in pathlib.Path(file).parents if (parent / "_delta_log").is_dir())
    for version in sorted((table / "_delta_log").glob("*.json"), reverse=True):
        for line in filter(None, version.read_text().split("\n")):
            found = json.loads(line).get("metaData")
            if found:
                return json.loads(found["schemaString"]), found["partitionColumns"]
    raise SystemExit(f"{table} has no metaData in the JSON of its log")


SQL_TYPES = {
    "string": "VARCHAR",
    "long": "BIGINT",
    "integer": "INTEGER",
    "short": "SMALLINT",
    "byte": "TINYINT",
    "timestamp": "TIMESTAMPTZ",
    "binary": "BLOB",
}


def sql_type(type):
    if isinstance(type, str):
        return SQL_TYPES.get(type, type)
    if type["type"] == "array":
        return sql_type(type["elementType"]) + "[]"
    if type["type"] == "map":
        return f"MAP({sql_type(type['keyType'])}, {sql_type(type['valueType'])})"
    return "STRUCT(" + ", ".join(canonical.quoted(f["name"]) + " " + sql_type(f["type"]) for f in type["fields"]) + ")"


def report_arrow(reader, read, location):
    started = time.time()
    connection = canonical.connect()
    batches = read(location)
    connection.register("batches", batches)
    canonical.report(reader, started, connection, "batches", batches.schema)


def report_spark(spark, frame, started):
    found = reduce_spark(frame)
    seconds = round(time.time() - started, 2)
    print(json.dumps({"reader": "spark", **found, "seconds": seconds}, ensure_ascii=False), flush=True)


def reduce_spark(frame):
    """Spark's rows go through Parquet of its own, so that neither side holds them all."""
    folder = tempfile.mkdtemp(prefix="tidemark-spark-")
    try:
        frame.write.mode("overwrite").parquet(folder)
        connection = canonical.connect()
        parts = f"read_parquet('{folder}/*.parquet', hive_partitioning = false)"
        schema = connection.sql(f"SELECT * FROM {parts} LIMIT 0").to_arrow_table().schema
        return canonical.reduce(connection, parts, schema)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main():
    reader, location = sys.argv[1], sys.argv[2]
    if reader == "spark":
        from spark_session import spark_session

        spark = spark_session()

        def once():
            started = time.time()
            report_spark(spark, spark.read.format("delta").load(location), started)

    elif reader == "duckdb":

        def once():
            report_duckdb(location)

    else:
        read = {"delta-rs": delta_rs, "polars": polars}[reader]

        def once():
            report_arrow(reader, read, location)

    once()
    if "--loop" in sys.argv:
        closed = threading.Event()
        threading.Thread(target=lambda: (sys.stdin.read(), closed.set()), daemon=True).start()
        while not closed.is_set():
            once()


if __name__ == "__main__":
    main()
