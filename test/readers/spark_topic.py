"""usage: spark_topic.py '{"topics": [...], "schema": DDL, "timestamps": {...}, "kafkaColumns": [...], "days": [...]}'

Spark's own reading of Kafka topics (KAFKA_BROKERS, read_committed) as the table should have it, reduced to one line of JSON that is
comparable with read_table.py's. `days` are the columns of partition terms `day(...)`.
"""

import json
import os
import sys
import time

from pyspark.sql import functions as F
from pyspark.sql import types as T
from read_table import report_spark
from spark_session import spark_session


def main():
    asked = json.loads(sys.argv[1])
    spark = spark_session()
    started = time.time()
    millis = [column for column, form in asked.get("timestamps", {}).items() if form == "epochMillis"]
    declared = T.StructType.fromDDL(asked["schema"])
    schema = T.StructType(
        [T.StructField(f.name, T.LongType() if f.name in millis else f.dataType) for f in declared.fields]
    )
    frame = (
        spark.read.format("kafka")
        .option("kafka.bootstrap.servers", os.environ.get("KAFKA_BROKERS", "127.0.0.1:9092"))
        .option("subscribe", ",".join(asked["topics"]))
        .option("startingOffsets", "earliest")
        .option("endingOffsets", "latest")
        .option("kafka.isolation.level", "read_committed")
        .load()
    )
    kafka = [F.col(name).alias("_" + name) for name in asked.get("kafkaColumns", [])]
    frame = frame.select(F.from_json(F.col("value").cast("string"), schema).alias("v"), *[c for c in kafka])
    frame = frame.select("v.*", *["_" + name for name in asked.get("kafkaColumns", [])])
    for column in millis:
        frame = frame.withColumn(column, F.timestamp_millis(F.col(column)))
    for column in asked.get("days", []):
        frame = frame.withColumn(column + "_day", F.to_date(F.col(column)))
    report_spark(spark, frame, started)


if __name__ == "__main__":
    main()
