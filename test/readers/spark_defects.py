"""usage: spark_defects.py '{"topic": NAME, "schema": DDL}'

What Spark's from_json makes of each partition's first record (KAFKA_BROKERS), by mode, as one line of JSON:
{"0": {"permissive": {column: value, ...}, "failFast": "row" | "failure"}, ...}. A null value of Kafka is left out.
"""

import json
import os
import sys

from pyspark.sql import functions as F
from spark_session import spark_session

CORRUPT = "_corrupt_record"


def main():
    asked = json.loads(sys.argv[1])
    spark = spark_session()
    # The plan of a failing job is as long as its record: nobody reads it.
    spark.sparkContext.setLogLevel("OFF")
    frame = (
        spark.read.format("kafka")
        .option("kafka.bootstrap.servers", os.environ["KAFKA_BROKERS"])
        .option("subscribe", asked["topic"])
        .load()
        .where("offset = 0 AND value IS NOT NULL")
        .select("partition", F.col("value").cast("string").alias("value"))
        .cache()
    )
    schema = asked["schema"] + f", {CORRUPT} STRING"
    options = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": CORRUPT}
    parsed = frame.select("partition", F.from_json("value", schema, options).alias("v"))
    permissive = parsed.select(
        "partition",
        # A text of megabytes is told by its beginning.
        F.to_json(F.col("v").withField("name", F.substring("v.name", 1, 100)).dropFields(CORRUPT)).alias("v"),
        F.col(f"v.{CORRUPT}").isNotNull().alias("c"),
    )
    seen = {}
    for row in permissive.collect():
        seen[row.partition] = {"permissive": json.loads(row.v) if row.v is not None else None, "corrupt": row.c}
    strict = frame.select("partition", F.to_json(F.from_json("value", asked["schema"], {"mode": "FAILFAST"})).alias("v"))
    for partition in seen:
        try:
            strict.where(F.col("partition") == partition).select(F.length("v")).collect()
            seen[partition]["failFast"] = "row"
        except Exception:
            seen[partition]["failFast"] = "failure"
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
