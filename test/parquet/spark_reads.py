"""Reads what cases.ts wrote with Spark: the rows, which Spark writes out again and pyarrow compares, and a filter at
values of each column, with and without the vectorised reader. Not a unit test: Spark takes its time to start.

    node test/parquet/cases.ts FOLDER 1 12 && python test/parquet/spark_reads.py FOLDER
"""

import json
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from plain_values import plain

FILTERS = 3
SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": "1",
}


def literal(value, kind):
    if isinstance(kind, T.TimestampType):
        return F.timestamp_micros(F.lit(value))
    if isinstance(kind, T.DateType):
        return F.date_from_unix_date(F.lit(value))
    if isinstance(kind, T.BinaryType):
        return F.unhex(F.lit(value))
    return F.lit(value).cast(kind)


def check(spark, folder: Path, differ):
    meant = json.loads((folder / "rows.json").read_text())
    frame = spark.read.parquet(str(folder / "file.parquet"))
    with tempfile.TemporaryDirectory() as scratch:
        frame.coalesce(1).write.mode("overwrite").parquet(scratch)
        if plain(pyarrow.parquet.read_table(scratch).to_pylist()) != plain(meant):
            differ("Spark reads other rows")
    for field in frame.schema.fields:
        if isinstance(field.dataType, (T.ArrayType, T.MapType, T.StructType)):
            continue
        values = [row[field.name] for row in meant if row[field.name] is not None]
        for value in list({repr(v): v for v in values}.values())[:FILTERS]:
            # Spark calls NaN equal to itself.
            count = sum(v == value or (v != v and value != value) for v in values)
            found = frame.filter(F.col(field.name) == literal(value, field.dataType)).count()
            if found != count:
                differ(f"Spark finds {found} of {count} rows where {field.name} = {value!r}")


def main():
    builder = SparkSession.builder.master("local[1]")
    for key, value in SETTINGS.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    folders = sorted(path for path in Path(sys.argv[1]).iterdir())
    differences = 0
    for vectorised in ("true", "false"):
        spark.conf.set("spark.sql.parquet.enableVectorizedReader", vectorised)
        for folder in folders:

            def differ(what):
                nonlocal differences
                differences += 1
                print(f"{folder.name} (vectorised {vectorised}): {what}")

            check(spark, folder, differ)
    spark.stop()
    print(f"{len(folders)} cases read, {differences} differences")
    sys.exit(1 if differences else 0)


main()
