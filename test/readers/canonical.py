"""What every reader's rows are reduced to, by one canonicaliser, so that only the readers differ.

A row's text has the columns by name, integers and dates in decimal and ISO, doubles and floats as the shortest text that reads back,
decimals with all digits of their scale, strings as JSON, binary in hexadecimal, timestamps as microseconds since 1970 UTC, lists and
structs nested, maps with their keys sorted, null as null. Its hash is the first 64 bits
of the MD5 of that text; the checksum of a table is the SHA-256 of its rows' hashes, sorted. Streaming: memory grows by 16 bytes
a row, for the sort.
"""

import json
import time

import duckdb
import pyarrow as pa


def connect():
    # Insertion order costs memory and means nothing here.
    connection = duckdb.connect(
        config={"memory_limit": "2GB", "threads": 2, "preserve_insertion_order": False}
    )
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def report(reader, started, connection, relation, schema):
    """Prints one line of JSON about the rows of `relation`, a table function or view of `connection` with the Arrow `schema`."""
    found = reduce(connection, relation, schema)
    seconds = round(time.time() - started, 2)
    print(json.dumps({"reader": reader, **found, "seconds": seconds}, ensure_ascii=False), flush=True)


def reduce(connection, relation, schema):
    fields = sorted(schema, key=lambda field: field.name)
    numeric = [field for field in fields if is_number(field.type)]
    positions = {"_topic", "_partition", "_offset"} <= set(schema.names)
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE reduced AS SELECT "
        + ", ".join(
            [f"{row_hash(fields)} AS hash"]
            + [f"{name(field)} AS {name(field)}" for field in numeric]
            + (["_topic"] if positions else [])
        )
        + f" FROM {relation}"
    )
    count, checksum = connection.execute(checksum_sql("reduced")).fetchone()
    return {
        "count": count,
        "sums": sums(connection, numeric),
        "checksum": checksum,
        "columns": {field.name: type_text(field.type) for field in fields},
        "offsets": offsets(connection) if positions else None,
    }


def row_hash(fields):
    return f"left(md5({struct_text(fields, '')}), 16)"


def checksum_sql(relation):
    """Over the column `hash`."""
    return f"SELECT count(*) AS count, sha256(coalesce(string_agg(hash, '' ORDER BY hash), '')) AS checksum FROM {relation}"


def sums(connection, numeric):
    """As decimal text: doubles are rounded to six places each, so that the order of adding does not show."""
    if not numeric:
        return {}
    terms = ", ".join(f"sum(try_cast({name(field)} AS DECIMAL(38, 6)))" for field in numeric)
    row = connection.execute(f"SELECT {terms} FROM reduced").fetchone()
    return {field.name: None if value is None else str(value) for field, value in zip(numeric, row)}


def offsets(connection):
    """Per topic and partition; comparable with kafka_truth.py."""
    rows = connection.execute(
        "SELECT _topic, _partition, count(*), count(DISTINCT _offset), min(_offset), max(_offset),"
        " sha256(string_agg(_offset::VARCHAR, ',' ORDER BY _offset)) FROM reduced GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    found = {}
    for topic, partition, count, distinct, first, last, checksum in rows:
        found.setdefault(topic, {})[str(partition)] = {
            "count": count,
            "distinct": distinct,
            "first": first,
            "last": last,
            "checksum": checksum,
        }
    return found


def is_number(type):
    return pa.types.is_integer(type) or pa.types.is_floating(type) or pa.types.is_decimal(type)


def name(field):
    return quoted(field.name)


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def struct_text(fields, prefix):
    parts = [
        f"{literal(json.dumps(field.name) + ':')} || {text(prefix + name(field), field.type)}"
        for field in fields
    ]
    return "'{' || " + " || ',' || ".join(parts) + " || '}'"


def text(value, type, depth=0):
    """SQL for the text of `value`."""
    if pa.types.is_struct(type):
        fields = sorted(type, key=lambda field: field.name)
        inner = f"CASE WHEN {value} IS NULL THEN NULL ELSE {struct_text(fields, value + '.')} END"
    elif pa.types.is_list(type) or pa.types.is_large_list(type):
        element = f"e{depth}"
        mapped = f"list_transform({value}, lambda {element}: {text(element, type.value_type, depth + 1)})"
        inner = f"'[' || array_to_string({mapped}, ',') || ']'"
    elif pa.types.is_map(type):
        entry = f"e{depth}"
        parts = [text(f"{entry}.key", type.key_type, depth + 1), text(f"{entry}.value", type.item_type, depth + 1)]
        mapped = f"list_transform(map_entries({value}), lambda {entry}: {parts[0]} || ':' || {parts[1]})"
        inner = f"'<' || array_to_string(list_sort({mapped}), ',') || '>'"
    elif is_text(type):
        inner = f"to_json({value})::VARCHAR"
    elif is_binary(type):
        inner = f"hex({value})"
    elif pa.types.is_timestamp(type):
        inner = f"epoch_us({value})::VARCHAR"
    else:
        inner = f"{value}::VARCHAR"
    return f"coalesce({inner}, 'null')"


def is_text(type):
    return pa.types.is_string(type) or pa.types.is_large_string(type) or pa.types.is_string_view(type)


def is_binary(type):
    return pa.types.is_binary(type) or pa.types.is_large_binary(type) or pa.types.is_binary_view(type)


def type_text(type):
    """Equal for types that mean the same; an engine's own width of string or list offsets does not count."""
    if pa.types.is_struct(type):
        return "struct<" + ", ".join(f"{f.name}: {type_text(f.type)}" for f in sorted(type, key=lambda f: f.name)) + ">"
    if pa.types.is_list(type) or pa.types.is_large_list(type):
        return f"array<{type_text(type.value_type)}>"
    if pa.types.is_map(type):
        return f"map<{type_text(type.key_type)}, {type_text(type.item_type)}>"
    if is_text(type):
        return "string"
    if is_binary(type):
        return "binary"
    if pa.types.is_decimal(type):
        return f"decimal({type.precision}, {type.scale})"
    if pa.types.is_timestamp(type):
        return "timestamp" if type.tz else "timestamp without zone"
    if pa.types.is_date(type):
        return "date"
    return str(type)


def literal(value):
    return "'" + value.replace("'", "''") + "'"
