"""usage: dead_letters.py TOPIC LOCATION DEAD_LETTERS_LOCATION

Every record of a topic, as an independent read_committed consumer has it (librdkafka, KAFKA_BROKERS), against the rows of the table and
of its dead-letter table, as delta-rs reads them. One line of JSON: how many of each, and everything that is not as it should be. Whether
a record is a row (`n` is an integer of a JSON object), a letter or a tombstone is decided here, by Python's own JSON.
"""

import json
import os
import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition
from deltalake import DeltaTable, QueryBuilder


def main():
    topic, location, letters_location = sys.argv[1:]
    rows = read(location, '_partition, _offset, n')
    letters = read(letters_location, 'partition, "offset", value')
    found = {"records": 0, "rows": len(rows), "letters": len(letters), "tombstones": 0}
    wrong = doubled(rows, "row") + doubled(letters, "letter")
    rows, letters = ({(p, o): value for p, o, value in of} for of in (rows, letters))
    for position, value in records(topic):
        found["records"] += 1
        kind = fate(value)
        found["tombstones"] += kind == "tombstone"
        row, letter = rows.pop(position, None), letters.pop(position, None)
        if kind == "row" and (row != json.loads(value)["n"] or letter is not None):
            wrong.append(f"{position}: row {row}, letter {letter}")
        if kind == "letter" and (row is not None or letter is None or bytes(letter) != value):
            wrong.append(f"{position}: row {row}, letter {letter}, record {value}")
        if kind == "tombstone" and (row is not None or letter is not None):
            wrong.append(f"{position}: a tombstone is row {row}, letter {letter}")
    wrong += [f"{position}: of no record" for position in [*rows, *letters]]
    print(json.dumps(found | {"wrong": len(wrong), "examples": wrong[:5]}))


def fate(value):
    if value is None:
        return "tombstone"
    try:
        document = json.loads(value)
    except ValueError:
        return "letter"
    return "row" if isinstance(document, dict) and type(document.get("n")) is int else "letter"


def doubled(found, what):
    positions = [(partition, offset) for partition, offset, _ in found]
    return [] if len(set(positions)) == len(positions) else [f"{len(positions) - len(set(positions))} times a {what} twice"]


def read(location, columns):
    result = QueryBuilder().register("t", DeltaTable(location)).execute(f"SELECT {columns} FROM t")
    return [tuple(row.values()) for batch in result for row in to_rows(batch)]


def to_rows(batch):
    import pyarrow

    return pyarrow.record_batch(batch).to_pylist()


def records(topic):
    consumer = Consumer(
        {
            "bootstrap.servers": os.environ["KAFKA_BROKERS"],
            "group.id": "tidemark-truth",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
        }
    )
    unfinished = set(consumer.list_topics(topic, 30).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in unfinished])
    while unfinished:
        for message in consumer.consume(10_000, 1.0):
            if message.error() is None:
                yield (message.partition(), message.offset()), message.value()
            elif message.error().code() == KafkaError._PARTITION_EOF:
                unfinished.discard(message.partition())
            else:
                raise SystemExit(f"{message.partition()}: {message.error()}")
    consumer.close()


if __name__ == "__main__":
    main()
