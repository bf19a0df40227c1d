"""usage: kafka_truth.py TOPIC...

An independent read_committed consumer (librdkafka, KAFKA_BROKERS): one line of JSON with, per topic and partition, what read_table.py
says of a table's offsets, and a checksum of the values in offset order.
"""

import hashlib
import json
import os
import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition


def main():
    topics = sys.argv[1:]
    consumer = Consumer(
        {
            "bootstrap.servers": os.environ.get("KAFKA_BROKERS", "127.0.0.1:9092"),
            "group.id": "tidemark-truth",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "check.crcs": True,
        }
    )
    partitions = [
        TopicPartition(topic, partition, OFFSET_BEGINNING)
        for topic in topics
        for partition in consumer.list_topics(topic, 30).topics[topic].partitions
    ]
    found = {(p.topic, p.partition): Partition() for p in partitions}
    consumer.assign(partitions)
    unfinished = set(found)
    while unfinished:
        for message in consumer.consume(10_000, 1.0):
            key = (message.topic(), message.partition())
            if message.error() is None:
                found[key].add(message.offset(), message.value())
            elif message.error().code() == KafkaError._PARTITION_EOF:
                unfinished.discard(key)
            else:
                raise SystemExit(f"{key}: {message.error()}")
    consumer.close()
    offsets = {}
    for (topic, partition), content in sorted(found.items()):
        if content.count:
            offsets.setdefault(topic, {})[str(partition)] = content.summary()
    print(json.dumps({"count": sum(p.count for p in found.values()), "offsets": offsets}, ensure_ascii=False))


class Partition:
    def __init__(self):
        self.count = 0
        self.first = None
        self.last = None
        self.offsets = hashlib.sha256()
        self.values = hashlib.sha256()

    def add(self, offset, value):
        if self.last is not None and offset <= self.last:
            raise SystemExit(f"offset {offset} after {self.last}")
        self.offsets.update((f"{offset}" if self.last is None else f",{offset}").encode())
        self.values.update(b"null" if value is None else hashlib.sha256(value).digest())
        self.first = offset if self.first is None else self.first
        self.last = offset
        self.count += 1

    def summary(self):
        return {
            "count": self.count,
            "distinct": self.count,
            "first": self.first,
            "last": self.last,
            "checksum": self.offsets.hexdigest(),
            "values": self.values.hexdigest(),
        }


if __name__ == "__main__":
    main()
