"""Reads what cases.ts wrote and compares it with the rows that were meant: for each case the file by
pyarrow (page checksums verified) and Polars, and the Delta table around it by delta-rs and Polars, with a filter at
each value of each column. Prints one line per difference."""

import json
import math
import sys
from pathlib import Path

import polars
import pyarrow
import pyarrow.dataset
import pyarrow.parquet
from deltalake import DeltaTable, QueryBuilder

from plain_values import plain

# Distinct values of a column to filter by.
FILTERS = 5


def check(folder: Path, differ):
    expected = plain(json.loads((folder / "rows.json").read_text()))
    path = folder / "file.parquet"
    table = pyarrow.parquet.ParquetFile(path, page_checksum_verification=True).read()
    if plain(table.to_pylist()) != expected:
        differ("pyarrow reads other rows")
    found = polars.read_parquet(path).to_dicts()
    if plain([{field.name: with_pairs(row[field.name], field.type) for field in table.schema} for row in found]) != expected:
        differ("polars reads other rows")
    if not expected:
        return
    delta = DeltaTable(folder)
    if plain(delta.to_pyarrow_table().to_pylist()) != expected:
        differ("delta-rs reads other rows")
    for name in table.column_names:
        if not pyarrow.types.is_nested(table.schema.field(name).type):
            check_filters(delta, folder, table, name, differ)


def with_pairs(value, type):
    """Polars gives maps as dictionaries, pyarrow as pairs."""
    if value is None:
        return None
    if pyarrow.types.is_map(type):
        return [(key, with_pairs(item, type.item_type)) for key, item in value.items()]
    if pyarrow.types.is_list(type):
        return [with_pairs(item, type.value_type) for item in value]
    if pyarrow.types.is_struct(type):
        return {field.name: with_pairs(value[field.name], field.type) for field in type}
    return value


def check_filters(delta, folder, table, name, differ):
    dataset = delta.to_pyarrow_dataset()
    lazy = polars.scan_delta(str(folder))
    column = table.column(name)
    field = pyarrow.dataset.field(name)
    values = [value for value in column.unique() if value.is_valid]
    for value in values[:FILTERS]:
        meant = pyarrow.compute.sum(pyarrow.compute.equal(column, value)).as_py()
        for reader, found in (
            ("delta-rs's dataset", dataset.count_rows(filter=field == value)),
            ("delta-rs's DataFusion", count_by_sql(delta, name, value)),
            ("polars", lazy.filter(polars.col(name) == polars.lit(value.as_py())).collect().height),
        ):
            # Polars calls NaN equal to itself.
            if found != meant and not (isinstance(value.as_py(), float) and math.isnan(value.as_py())):
                differ(f"{reader} finds {found} of {meant} rows where {name} = {value}")


def count_by_sql(delta, name, value):
    sql = f'SELECT count(*) AS n FROM t WHERE "{name}" = {sql_literal(value)}'
    batches = QueryBuilder().register("t", delta).execute(sql)
    return pyarrow.RecordBatchReader.from_stream(batches).read_all().column(0)[0].as_py()


def sql_literal(value):
    type, given = value.type, value.as_py()
    if pyarrow.types.is_binary(type):
        return f"X'{given.hex()}'"
    if pyarrow.types.is_decimal(type):
        return f"arrow_cast('{given:f}', 'Decimal128({type.precision}, {type.scale})')"
    if pyarrow.types.is_timestamp(type):
        return f"arrow_cast('{given.isoformat()}', 'Timestamp(Microsecond, Some(\"UTC\"))')"
    if pyarrow.types.is_string(type):
        return "'" + given.replace("'", "''") + "'"
    names = {"float": "Float32", "double": "Float64", "bool": "Boolean", "date32[day]": "Date32"}
    return f"arrow_cast('{given}', '{names.get(str(type), str(type).capitalize())}')"


def main():
    cases = sorted(Path(sys.argv[1]).iterdir())
    for folder in cases:
        check(folder, lambda what: print(f"{folder.name}: {what}"))
    print(f"{len(cases)} cases read", file=sys.stderr)


main()
