"""The shape of a topic as `npm run bench` hands it over: the fields of the schema as `src/records/ddl.ts` parses them."""

import json


def load(path):
    with open(path) as file:
        return json.load(file)


def polars_type(type):
    import polars as pl

    if type["kind"] == "array":
        return pl.List(polars_type(type["element"]))
    if type["kind"] == "struct":
        return pl.Struct({field["name"]: polars_type(field["type"]) for field in type["fields"]})
    # Text in JSON; made a time afterwards.
    if type["name"] == "timestamp":
        return pl.String
    return {
        "string": pl.String,
        "long": pl.Int64,
        "integer": pl.Int32,
        "double": pl.Float64,
        "boolean": pl.Boolean,
    }[type["name"]]


def timestamps(fields):
    return [field["name"] for field in fields if field["type"].get("name") == "timestamp"]
