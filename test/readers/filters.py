"""Filters at the borders of what each file of a table holds and of what the log says that it holds, for every engine.

A statistic that is wrong hides a row from a filter near it. So each engine counts the rows of each filter twice: with the filter as a
WHERE, by which files and row groups are skipped, and as a condition over all rows, where nothing can be. The two have to agree.
"""

import dataclasses
import datetime
import decimal
import json
import math
import struct

import pyarrow as pa
import pyarrow.parquet

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
MICROSECOND = datetime.timedelta(microseconds=1)
COMPARED = ["=", "<>", "<", "<=", ">", ">="]


@dataclasses.dataclass(frozen=True)
class Filter:
    path: tuple
    type: pa.DataType
    # One of COMPARED, IN, BETWEEN, IS NULL, IS NOT NULL
    op: str
    values: tuple = ()

    def __str__(self):
        return f"{'.'.join(self.path)} {self.op} {', '.join(map(repr, self.values))}"


def border_filters(table):
    """Of all columns that have an order, in structs too. `table` is matrix.py's."""
    borders = {leaf: Borders(leaf[1]) for leaf in leaves(table.schema)}
    for file in table.files:
        rows = pyarrow.parquet.ParquetFile(file["path"]).read().to_pylist()
        stats = json.loads(file["stats"] or "{}", parse_float=decimal.Decimal)
        for (path, type), found in borders.items():
            if path[0] in table.partition_columns:
                continue
            found.add([value for value in (at(row, path) for row in rows) if value is not None])
            for bound in ("minValues", "maxValues"):
                found.add_bound(at(stats.get(bound), path))
    for (path, type), found in borders.items():
        if path[0] in table.partition_columns:
            found.values |= {v for v in table.rows.column(path[0]).to_pylist() if v is not None}
    return [filter for (path, type), found in borders.items() for filter in found.filters(path, type)]


class Borders:
    def __init__(self, type):
        self.type = type
        self.values = set()
        self.ranges = set()

    def add(self, values):
        """Of one file."""
        ordered = sorted(value for value in values if value == value)
        self.values |= {repr_float(value) for value in values if value != value}
        if not ordered:
            return
        low, high = ordered[0], ordered[-1]
        self.values |= {low, high, ordered[len(ordered) // 2]}
        self.ranges.add((low, high))
        for value in (low, high):
            self.values |= {near for near in (below(value, self.type), above(value, self.type)) if near is not None}

    def add_bound(self, bound):
        """Of one file, as the log has it."""
        value = None if bound is None else bound_value(bound, self.type)
        if value is not None:
            self.values.add(value)

    def filters(self, path, type):
        yield Filter(path, type, "IS NULL")
        yield Filter(path, type, "IS NOT NULL")
        for value in sorted(self.values, key=repr):
            for op in COMPARED:
                yield Filter(path, type, op, (value,))
        for low, high in sorted(self.ranges, key=repr):
            yield Filter(path, type, "IN", (low, high))
            yield Filter(path, type, "BETWEEN", (low, high))


def repr_float(value):
    """One NaN for all: a set would keep each."""
    return math.nan if value != value else value


def leaves(schema, parent=()):
    for field in schema:
        path = (*parent, field.name)
        if pa.types.is_struct(field.type):
            yield from leaves(field.type, path)
        elif not pa.types.is_nested(field.type):
            yield path, field.type


def at(row, path):
    for name in path:
        row = row.get(name) if row is not None else None
    return row


def below(value, type):
    return near(value, type, -1)


def above(value, type):
    return near(value, type, 1)


def near(value, type, step):
    """The next value of the type, or None where there is none; of a text the one without its last character, or with one more."""
    if pa.types.is_boolean(type):
        return not value
    if pa.types.is_integer(type):
        return value + step if abs(value + step) < 2 ** (type.bit_width - 1) else None
    if pa.types.is_float32(type):
        return next_float(value, step)
    if pa.types.is_floating(type):
        return math.nextafter(value, step * math.inf)
    if pa.types.is_decimal(type):
        unscaled = int(value.scaleb(type.scale, CONTEXT)) + step
        return decimal.Decimal(unscaled).scaleb(-type.scale, CONTEXT) if abs(unscaled) < 10**type.precision else None
    try:
        if pa.types.is_timestamp(type):
            return value + step * MICROSECOND
        if pa.types.is_date(type):
            return value + datetime.timedelta(days=step)
    except OverflowError:
        return None
    if isinstance(value, str):
        return value + "!" if step > 0 else value[:-1]
    return value + b"\0" if step > 0 else value[:-1]


CONTEXT = decimal.Context(prec=60)


def next_float(value, step):
    if math.isinf(value) and (value > 0) == (step > 0):
        return value
    if value == 0:
        return step * 2.0**-149
    bits = struct.unpack("<i", struct.pack("<f", value))[0]
    return struct.unpack("<f", struct.pack("<i", bits + (step if value > 0 else -step)))[0]


def bound_value(bound, type):
    """Of Delta's JSON, or None where the type cannot hold it: delta-rs states bounds of decimals as doubles."""
    if pa.types.is_timestamp(type):
        return datetime.datetime.fromisoformat(bound)
    if pa.types.is_date(type):
        return datetime.date.fromisoformat(bound)
    if pa.types.is_decimal(type):
        value = decimal.Decimal(bound)
        return value if abs(value.scaleb(type.scale, CONTEXT)) < 10**type.precision else None
    return float(bound) if pa.types.is_floating(type) else bound


def sql(filter, column, literal):
    """`column` and `literal` make text of a path, and of a value and its type."""
    name, values = column(filter.path), [literal(value, filter.type) for value in filter.values]
    if filter.op == "IN":
        return f"{name} IN ({', '.join(values)})"
    if filter.op == "BETWEEN":
        return f"{name} >= {values[0]} AND {name} <= {values[1]}"
    return f"{name} {filter.op} {''.join(values)}"


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def duckdb_column(path):
    return ".".join(map(quoted, path))


def duckdb_literal(value, type):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        parts = ["'" + part.replace("'", "''") + "'" for part in value.split("\0")]
        return "(" + " || chr(0) || ".join(parts) + ")" if len(parts) > 1 else parts[0]
    if isinstance(value, bytes):
        return "'" + "".join(f"\\x{byte:02X}" for byte in value) + "'::BLOB"
    if pa.types.is_decimal(type):
        return f"CAST('{value:f}' AS DECIMAL({type.precision}, {type.scale}))"
    if pa.types.is_timestamp(type):
        return f"TIMESTAMPTZ '{iso(value)}'"
    if pa.types.is_date(type):
        return f"DATE '{value.isoformat()}'"
    names = {"float": "FLOAT", "double": "DOUBLE", "int64": "BIGINT", "int32": "INTEGER", "int16": "SMALLINT", "int8": "TINYINT"}
    return f"CAST('{value!r}' AS {names[str(type)]})"


def datafusion_column(path):
    return quoted(path[0]) + "".join(f"['{name}']" for name in path[1:])


def datafusion_literal(value, type):
    if isinstance(value, bytes):
        return f"X'{value.hex()}'"
    if pa.types.is_decimal(type):
        return f"arrow_cast('{value:f}', 'Decimal128({type.precision}, {type.scale})')"
    if pa.types.is_timestamp(type):
        return f"arrow_cast('{iso(value)}', 'Timestamp(Microsecond, Some(\"UTC\"))')"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    names = {"float": "Float32", "double": "Float64", "bool": "Boolean", "date32[day]": "Date32"}
    return f"arrow_cast('{value}', '{names.get(str(type), str(type).capitalize())}')"


def iso(moment):
    """With all digits of the year, which strftime leaves out, and of the fraction."""
    return moment.replace(tzinfo=None).isoformat(" ", "microseconds") + "+00:00"


def polars_expression(filter):
    import polars as pl

    column = pl.col(filter.path[0])
    for name in filter.path[1:]:
        column = column.struct.field(name)
    values = [pl.lit(value, dtype=polars_type(filter.type)) for value in filter.values]
    if filter.op == "IS NULL":
        return column.is_null()
    if filter.op == "IS NOT NULL":
        return column.is_not_null()
    if filter.op == "IN":
        return column.is_in(pl.Series(list(filter.values), dtype=polars_type(filter.type)).implode())
    if filter.op == "BETWEEN":
        return (column >= values[0]) & (column <= values[1])
    return compared(column, filter.op, values[0])


def polars_type(type):
    import polars as pl

    if pa.types.is_decimal(type):
        return pl.Decimal(type.precision, type.scale)
    if pa.types.is_timestamp(type):
        return pl.Datetime("us", "UTC")
    names = {"double": pl.Float64, "float": pl.Float32, "bool": pl.Boolean, "date32[day]": pl.Date, "string": pl.String, "binary": pl.Binary}
    return names.get(str(type)) or getattr(pl, str(type).capitalize())


def spark_expression(filter):
    from pyspark.sql import functions as F

    column = F.col(f"`{filter.path[0]}`")
    for name in filter.path[1:]:
        column = column.getField(name)
    values = [spark_literal(value, filter.type) for value in filter.values]
    if filter.op == "IS NULL":
        return column.isNull()
    if filter.op == "IS NOT NULL":
        return column.isNotNull()
    if filter.op == "IN":
        return column.isin(values)
    if filter.op == "BETWEEN":
        return (column >= values[0]) & (column <= values[1])
    return compared(column, filter.op, values[0])


def spark_literal(value, type):
    from pyspark.sql import functions as F

    if pa.types.is_timestamp(type):
        return F.timestamp_micros(F.lit((value - EPOCH) // MICROSECOND))
    if pa.types.is_date(type):
        return F.date_from_unix_date(F.lit((value - EPOCH.date()).days))
    if isinstance(value, bytes):
        return F.unhex(F.lit(value.hex()))
    if pa.types.is_decimal(type):
        return F.lit(f"{value:f}").cast(f"decimal({type.precision},{type.scale})")
    names = {"int64": "bigint", "int32": "int", "int16": "smallint", "int8": "tinyint", "bool": "boolean"}
    return F.lit(value).cast(names.get(str(type), str(type)))


def arrow_expression(filter):
    import pyarrow.dataset as dataset

    column = dataset.field(*filter.path)
    values = [pa.scalar(value, filter.type) for value in filter.values]
    if filter.op == "IS NULL":
        return column.is_null()
    if filter.op == "IS NOT NULL":
        return column.is_valid()
    if filter.op == "IN":
        return column.isin(pa.array(filter.values, filter.type))
    if filter.op == "BETWEEN":
        return (column >= values[0]) & (column <= values[1])
    return compared(column, filter.op, values[0])


def compared(column, op, value):
    return {
        "=": lambda: column == value,
        "<>": lambda: column != value,
        "<": lambda: column < value,
        "<=": lambda: column <= value,
        ">": lambda: column > value,
        ">=": lambda: column >= value,
    }[op]()
