import kafkajs from 'kafkajs';

/** By Kafka partition: where this service's records begin, and the offset after the last of them. */
export interface Produced {
  readonly starts: Record<string, string>;
  readonly ends: Record<string, string>;
}

/** Spreads the records over the topic's partitions, one request for each, and tells where they are. */
export async function produce(topic: string, records: readonly object[]): Promise<Produced> {
  const brokers = (process.env.KAFKA_BROKERS ?? 'localhost:9092').split(',');
  const kafka = new kafkajs.Kafka({ brokers, clientId: 'example-service', logLevel: kafkajs.logLevel.ERROR });
  const producer = kafka.producer({
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
    idempotent: true, // a request that is repeated leaves one copy, and the answer names it
  });
  const admin = kafka.admin();
  await Promise.all([producer.connect(), admin.connect()]);
  try {
    await admin.createTopics({ topics: [{ topic, numPartitions: 3 }], waitForLeaders: true }); // unless it exists
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] }); // asks no leader, which may still be starting
    const partitions = topics.flatMap(({ partitions }) => partitions.map(({ partitionId }) => partitionId));
    const starts: Produced['starts'] = {};
    const ends: Produced['ends'] = {};
    for (const [index, partition] of partitions.entries()) {
      const own = records.filter((_, place) => place % partitions.length === index);
      if (own.length === 0) continue;
      const messages = own.map((record) => ({ partition, value: JSON.stringify(record) }));
      const [answer] = await producer.send({ topic, messages, acks: -1 });
      if (answer?.baseOffset === undefined) throw new Error(`No offset in the answer for ${topic}-${partition}.`);
      starts[partition] = answer.baseOffset;
      ends[partition] = String(BigInt(answer.baseOffset) + BigInt(messages.length)); // exclusive
    }
    return { starts, ends };
  } finally {
    await Promise.all([producer.disconnect(), admin.disconnect()]);
  }
}
