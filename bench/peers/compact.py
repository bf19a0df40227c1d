"""usage: compact.py duckdb|delta-rs|spark TABLE_FOLDER OUTPUT_FOLDER FILES.json   (Spark: SPARK_JARS)

Makes four files of those in FILES.json, the live ones of the Delta table in TABLE_FOLDER: DuckDB by a bare COPY, delta-rs by its
OPTIMIZE within the table, Spark by `coalesce(4)`. All write snappy. The last line is JSON; what starts an engine is not in it.
"""

import json
import os
import sys
import time

import resources

TARGET_FILES = 4
engine, table, out, listing = sys.argv[1:]
files = json.load(open(listing))
os.makedirs(out, exist_ok=True)


def duckdb():
    import duckdb

    connection = duckdb.connect(config={"threads": 2})
    meter = resources.Meter()
    bin_size = -(-len(files) // TARGET_FILES)
    for n in range(TARGET_FILES):
        names = ", ".join(f"'{path}'" for path in files[n * bin_size : (n + 1) * bin_size])
        target = os.path.join(out, f"{n}.parquet")
        connection.execute(f"COPY (SELECT * FROM read_parquet([{names}])) TO '{target}' (FORMAT parquet, COMPRESSION snappy)")
    meter.report(None, out)


def delta_rs():
    from deltalake import DeltaTable, WriterProperties

    meter = resources.Meter()
    total = sum(os.path.getsize(path) for path in files)
    DeltaTable(table).optimize.compact(
        target_size=total // TARGET_FILES, writer_properties=WriterProperties(compression="SNAPPY")
    )
    meter.report(None, table, of=lambda: DeltaTable(table).file_uris())


def spark():
    started = time.time()
    from pyspark.sql import SparkSession

    session = (
        SparkSession.builder.master("local[2]")
        .config("spark.driver.memory", "4g")
        .config("spark.ui.enabled", "false")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    jvm = session._jvm.java.lang.ProcessHandle.current().pid()
    start_seconds = time.time() - started
    meter = resources.Meter("self", jvm)
    session.read.parquet(*files).coalesce(TARGET_FILES).write.mode("overwrite").option("compression", "snappy").parquet(out)
    meter.report(None, out, startSeconds=round(start_seconds, 2))
    session.stop()


{"duckdb": duckdb, "delta-rs": delta_rs, "spark": spark}[engine]()
