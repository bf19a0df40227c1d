"""usage: matrix.py REQUEST.json READER...

Reads each table of the request with each reader: all rows, reduced as canonical.py does it, and the counts of filters at the borders of
every file (filters.py). One line of JSON, a list: table, reader, version, count, checksum, columns, how many filters, `hidden`, those that
lost or won rows by what the reader skipped, `differing`, those that it answers otherwise than the rows that were meant, and `failing`; or
`failure`. Of `truth`, also the SQL that asks the same of the table by its name.

The request is {"tables": [{"name", "location", "schema", "partitionColumns", "files", "rows", "filters"}, ...]}: the schema as Delta has
it, live files with `partitionValues` and `stats`, the file with the rows that were meant, and how many filters to take, as a number or,
by reader, an object. READER is truth, spark, delta-rs, delta-rs-dataset, polars, duckdb or duckdb-delta.
"""

import datetime
import decimal
import json
import random
import sys
import time

import duckdb
import pyarrow as pa
import pyarrow.parquet

import canonical
import filters
import read_table


class Table:
    def __init__(self, asked):
        self.name, self.location, self.files = asked["name"], asked["location"], asked["files"]
        self.partition_columns = asked["partitionColumns"]
        self.delta_schema = json.loads(asked["schema"])
        self.schema = pa.schema(arrow_fields(self.delta_schema))
        rows = asked.get("rows")
        self.rows = meant_rows(json.load(open(rows)), self.schema) if rows else stored_rows(self.files)
        self.limits = asked["filters"]
        self.filters = filters.border_filters(self)
        self.truth = Truth(self)

    def filters_for(self, reader):
        limit = self.limits if isinstance(self.limits, int) else self.limits.get(reader, self.limits["others"])
        return self.filters if limit >= len(self.filters) else random.Random(limit).sample(self.filters, limit)


def arrow_fields(struct):
    return [pa.field(f["name"], arrow_type(f["type"]), f["nullable"]) for f in struct["fields"]]


def arrow_type(type):
    if isinstance(type, dict):
        if type["type"] == "array":
            return pa.list_(arrow_type(type["elementType"]))
        if type["type"] == "map":
            return pa.map_(arrow_type(type["keyType"]), arrow_type(type["valueType"]))
        return pa.struct(arrow_fields(type))
    if type.startswith("decimal"):
        return pa.decimal128(*map(int, type[8:-1].split(",")))
    names = {"string": pa.string(), "long": pa.int64(), "integer": pa.int32(), "short": pa.int16(), "byte": pa.int8()}
    names |= {"double": pa.float64(), "float": pa.float32(), "boolean": pa.bool_(), "binary": pa.binary(), "date": pa.date32()}
    return names.get(type) or pa.timestamp("us", "UTC")


def stored_rows(files):
    return pa.concat_tables(pyarrow.parquet.ParquetFile(file["path"]).read() for file in files)


def meant_rows(rows, schema):
    """From the JSON of cases.ts, without any reader between."""
    columns = [pa.array([meant(row[field.name], field.type) for row in rows], field.type) for field in schema]
    return pa.table(columns, schema=pa.schema([field.with_nullable(True) for field in schema]))


def meant(value, type):
    if value is None:
        return None
    if pa.types.is_struct(type):
        return {field.name: meant(value[field.name], field.type) for field in type}
    if pa.types.is_map(type):
        return [(key, meant(item, type.item_type)) for key, item in value]
    if pa.types.is_list(type):
        return [meant(item, type.value_type) for item in value]
    if pa.types.is_decimal(type):
        return decimal.Decimal(value)
    return bytes.fromhex(value) if pa.types.is_binary(type) else value


class Truth:
    """The rows that were meant, in memory: what every reader is compared with."""

    version = duckdb.__version__
    relation = "rows"

    def __init__(self, table):
        self.connection = canonical.connect()
        self.connection.register("arrived", table.rows)
        self.connection.execute("CREATE TABLE rows AS FROM arrived")
        self.schema = table.rows.schema

    def unfiltered(self, asked):
        return list(self.connection.execute(conditional_counts(asked, self.relation)).fetchone())

    filtered = unfiltered

    def sql(self, table, asked):
        """For DuckDB where we cannot reach it: the checksum, and the counts with what they have to be."""
        fields = sorted(self.schema, key=lambda field: field.name)
        hashes = f"(SELECT {canonical.row_hash(fields)} AS hash FROM {filters.quoted(table.name)})"
        texts = [counts(chunk, filters.quoted(table.name), DUCKDB) + " ORDER BY i" for chunk in chunks(asked, 100)]
        meant = [self.unfiltered(chunk) for chunk in chunks(asked, 100)]
        return {"checksum": canonical.checksum_sql(hashes), "counts": list(zip(texts, meant))}


class DuckDB(Truth):
    """Over the live files, by the list that `tidemark files` prints."""

    relation = "live"

    def __init__(self, table):
        self.connection = canonical.connect()
        read_table.register_live_files(self.connection, table.files, table.delta_schema, table.partition_columns)
        self.schema = arrow_schema(self.connection, self.relation)

    def filtered(self, asked):
        return [n for _, n in sorted(self.connection.execute(counts(asked, self.relation, DUCKDB)).fetchall())]


class DuckDBDelta(DuckDB):
    relation = "live"

    def __init__(self, table):
        import os

        import duckdb_extension_delta

        folder = os.path.join(os.path.dirname(duckdb_extension_delta.__file__), "extensions", f"v{duckdb.__version__}")
        self.connection = canonical.connect()
        self.connection.execute(f"LOAD '{folder}/delta.duckdb_extension'")
        self.connection.execute(f"CREATE VIEW live AS FROM delta_scan('{table.location}')")
        self.schema = arrow_schema(self.connection, self.relation)


class DeltaRs:
    def __init__(self, table):
        import deltalake

        self.version = deltalake.__version__
        self.table = deltalake.DeltaTable(table.location)

    def batches(self):
        return self.query("SELECT * FROM t")

    def query(self, text):
        from deltalake import QueryBuilder

        return pa.RecordBatchReader.from_stream(QueryBuilder().register("t", self.table).execute(text))

    def unfiltered(self, asked):
        text = [f"count(CASE WHEN {filters.sql(f, *DATAFUSION)} THEN 1 END) AS n{i}" for i, f in enumerate(asked)]
        return list(self.query(f"SELECT {', '.join(text)} FROM t").read_all().to_pylist()[0].values())

    def filtered(self, asked):
        found = self.query(counts(asked, "t", DATAFUSION)).read_all().to_pylist()
        return [row["n"] for row in sorted(found, key=lambda row: row["i"])]


class DeltaRsDataset(DeltaRs):
    """Its other way, `to_pyarrow_dataset`, with which Arrow reads and skips."""

    def __init__(self, table):
        super().__init__(table)
        self.dataset = self.table.to_pyarrow_dataset()
        self.held = self.dataset.to_table()

    def batches(self):
        return self.dataset.scanner().to_reader()

    def unfiltered(self, asked):
        return [self.held.filter(filters.arrow_expression(f)).num_rows for f in asked]

    def filtered(self, asked):
        return [self.dataset.count_rows(filter=filters.arrow_expression(f)) for f in asked]


class Polars:
    def __init__(self, table):
        import polars

        self.version = polars.__version__
        self.location = table.location
        self.frame = polars.scan_delta(table.location)

    def batches(self):
        return read_table.polars(self.location)

    def unfiltered(self, asked):
        held = self.frame.collect()
        return [held.filter(filters.polars_expression(f)).height for f in asked]

    def filtered(self, asked):
        import polars

        lazy = [self.frame.filter(filters.polars_expression(f)).select(polars.len()) for f in asked]
        return [frame.item() for frame in polars.collect_all(lazy)]


class Spark:
    def __init__(self, table):
        from spark_session import spark_session

        self.spark = spark_session()
        self.version = self.spark.version
        self.frame = self.spark.read.format("delta").load(table.location)

    def unfiltered(self, asked):
        from pyspark.sql import functions as F

        terms = [F.count(F.when(filters.spark_expression(f), 1)).alias(f"n{i}") for i, f in enumerate(asked)]
        return list(self.frame.agg(*terms).collect()[0])

    def filtered(self, asked):
        from functools import reduce

        from pyspark.sql import functions as F

        frames = [self.frame.where(filters.spark_expression(f)).select(F.lit(i).alias("i")) for i, f in enumerate(asked)]
        found = dict(reduce(lambda a, b: a.union(b), frames).groupBy("i").count().collect())
        return [found.get(i, 0) for i in range(len(asked))]


DUCKDB = (filters.duckdb_column, filters.duckdb_literal)
DATAFUSION = (filters.datafusion_column, filters.datafusion_literal)
READERS = {
    **{"truth": Truth, "spark": Spark, "delta-rs": DeltaRs, "delta-rs-dataset": DeltaRsDataset},
    **{"polars": Polars, "duckdb": DuckDB, "duckdb-delta": DuckDBDelta},
}


def conditional_counts(asked, relation):
    return "SELECT " + ", ".join(f"count(*) FILTER ({filters.sql(f, *DUCKDB)})" for f in asked) + f" FROM {relation}"


def counts(asked, relation, dialect):
    parts = [f"SELECT {i} AS i, count(*) AS n FROM {relation} WHERE {filters.sql(f, *dialect)}" for i, f in enumerate(asked)]
    return " UNION ALL ".join(parts)


def arrow_schema(connection, relation):
    return connection.sql(f"SELECT * FROM {relation} LIMIT 0").to_arrow_table().schema


def read(name, table):
    started = time.time()
    asked = table.filters_for("tidemark" if name == "truth" else name)
    try:
        reader = table.truth if name == "truth" else READERS[name](table)
        rows = reduce_rows(name, reader)
        found = {"hidden": [], "differing": [], "failing": []}
        for chunk in chunks(asked):
            for f, outcome in zip(chunk, ask(reader, chunk), strict=True):
                if isinstance(outcome, str):
                    found["failing"].append(f"{f}: {outcome}")
                    continue
                skipped, whole = outcome
                (meant,) = table.truth.unfiltered([f])
                if skipped != whole:
                    found["hidden"].append(f"{f}: {skipped} of {whole}")
                if whole != meant:
                    found["differing"].append(f"{f}: {whole}, meant {meant}")
    except Exception as error:
        return {"table": table.name, "reader": name, "failure": described(error)}
    if name == "truth":
        found["sql"] = reader.sql(table, asked)
    seconds = round(time.time() - started, 2)
    return {"table": table.name, "reader": name, "version": reader.version, **rows, "filters": len(asked), **found, "seconds": seconds}


def ask(reader, asked):
    """For each filter both counts, or what is wrong with it."""
    try:
        return list(zip(reader.filtered(asked), reader.unfiltered(asked), strict=True))
    except Exception as error:
        return [described(error)] if len(asked) == 1 else [found for f in asked for found in ask(reader, [f])]


def described(error):
    return f"{type(error).__name__}: {error}"[:500]


def reduce_rows(name, reader):
    if name == "spark":
        return read_table.reduce_spark(reader.frame)
    if hasattr(reader, "connection"):
        return canonical.reduce(reader.connection, reader.relation, reader.schema)
    connection = canonical.connect()
    batches = reader.batches()
    connection.register("batches", batches)
    return canonical.reduce(connection, "batches", batches.schema)


def chunks(some, size=20):
    return (some[i : i + size] for i in range(0, len(some), size))


def main():
    tables = [Table(asked) for asked in json.load(open(sys.argv[1]))["tables"]]
    print(json.dumps([read(reader, table) for reader in sys.argv[2:] for table in tables], ensure_ascii=False))


if __name__ == "__main__":
    main()
