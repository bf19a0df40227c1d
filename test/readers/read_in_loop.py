"""usage: read_in_loop.py delta-rs|polars|duckdb LOCATION HOLD_SECONDS

Reads a table of Kafka records again and again until its input is closed, each time at the newest version, which it holds for a while
first, as a reader does that is slow. One line of JSON per read: version, seconds, the rows that the log of that version counts,
and what the engine found. A failed read is a line with `error`. DuckDB knows no log here: it opens the files that delta-rs names.
"""

import json
import sys
import threading
import time

from deltalake import DeltaTable

# The position of a record, and its text: so that the columns are read, not only counted.
POSITION = "_offset * 1000 + _partition"
SQL = f"SELECT count(*) AS rows, count(DISTINCT {POSITION}) AS positions, sum(length(text)) AS length FROM t"


def delta_rs(table):
    import pyarrow
    from deltalake import QueryBuilder

    found = QueryBuilder().register("t", table).execute(SQL)
    return list(pyarrow.RecordBatchReader.from_stream(found).read_all().to_pylist()[0].values())


def polars(table):
    import polars

    t = polars.scan_delta(table)
    position = polars.col("_offset") * 1000 + polars.col("_partition")
    length = polars.col("text").str.len_chars().sum()
    return list(t.select(rows=polars.len(), positions=position.n_unique(), length=length).collect().row(0))


def duckdb(table):
    import duckdb

    connection = duckdb.connect(config={"memory_limit": "1GB", "threads": 1})
    files = table.file_uris()
    connection.execute(f"CREATE VIEW t AS SELECT * FROM read_parquet({files}, hive_partitioning = false)")
    return list(connection.execute(SQL).fetchone())


def once(read, location, hold):
    started = time.time()
    try:
        table = DeltaTable(location)
        counts = table.get_add_actions(flatten=True)["num_records"].to_pylist()
        time.sleep(hold)
        rows, positions, length = read(table)
        found = {
            "version": table.version(),
            "rowsInLog": sum(counts),
            "rows": rows,
            "positions": positions,
            "length": int(length),
        }
    except BaseException as error:
        found = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(found | {"seconds": round(time.time() - started, 3)}), flush=True)


def main():
    reader, location, hold = sys.argv[1], sys.argv[2], float(sys.argv[3])
    read = {"delta-rs": delta_rs, "polars": polars, "duckdb": duckdb}[reader]
    closed = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), closed.set()), daemon=True).start()
    while not closed.is_set():
        once(read, location, hold)


if __name__ == "__main__":
    main()
