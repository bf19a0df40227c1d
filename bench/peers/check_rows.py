"""usage: check_rows.py FILES.json COLUMN...

Count and checksum of the rows in Parquet files, by DuckDB, over the named columns: equal for the same rows whoever wrote them. The
canonical text of a row is that of test/readers/canonical.py. Prints one line of JSON.
"""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../test/readers"))

import canonical

files, columns = json.load(open(sys.argv[1])), sys.argv[2:]
connection = canonical.connect()
names = ", ".join("'" + path.replace("'", "''") + "'" for path in files)
selected = ", ".join(canonical.quoted(column) for column in columns)
source = f"(SELECT {selected} FROM read_parquet([{names}], hive_partitioning = false))"
schema = connection.sql(f"SELECT * FROM {source} LIMIT 0").to_arrow_table().schema
row = canonical.struct_text(sorted(schema, key=lambda field: field.name), "")
# Of hashes, sums do not care for the order, and doubled rows show in both.
count, checksum = connection.execute(
    f"SELECT count(*), sum(hash({row})::HUGEINT)::VARCHAR FROM {source}"
).fetchone()
print(json.dumps({"count": count, "checksum": checksum}))
