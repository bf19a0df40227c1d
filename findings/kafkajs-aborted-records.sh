#!/usr/bin/env bash
# kafkajs's consumer hands out records of aborted transactions.
#
# Surprise:  a read_committed consumer of kafkajs, which is what it is by default, returns records of transactions that were
#            aborted:
#            - after a record whose key is the four bytes 0 0 0 0, such as the 32-bit integer 0: that record and the rest
#              of its transaction. kafkajs takes the key for that of an abort marker, without looking whether it is one.
#            - where transactions overlap, and the one that began later is aborted first: records of the other before that.
#              The broker lists aborted transactions as they end; kafkajs takes the list to be in the order of their beginnings.
# Expected:  the committed record alone. Kafka's own console consumer returns just that.
# Versions:  kafkajs 2.2.4 on Node 24.21.0, Kafka 4.3.0 (broker and console consumer)
# Seen:      2026-11-29
# Needs:     npm; Java 17 or newer and Maven
set -euo pipefail

folder=$(mktemp -d)
broker=
finish() {
  if [ -n "$broker" ]; then kill -KILL "$broker" && wait "$broker" || true; fi
  rm -rf "$folder"
} 2>/dev/null
trap finish EXIT
cd "$folder"

npm install --prefix . --no-save --ignore-scripts=false --silent node@24.21.0 kafkajs@2.2.4

cat >pom.xml <<'XML'
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>finding</groupId><artifactId>jars</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>4.3.0</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>4.3.0</version></dependency>
  </dependencies>
</project>
XML
mvn -B -q -f pom.xml org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
  -DincludeScope=runtime -DoutputDirectory=libs >mvn.log 2>&1 || { cat mvn.log; exit 1; }

cat >ports.mjs <<'JS'
import { once } from 'node:events';
import { createServer } from 'node:net';

const servers = [createServer(), createServer()];
for (const server of servers) await once(server.listen(0, '127.0.0.1'), 'listening');
console.log(servers.map((server) => server.address().port).join(' '));
for (const server of servers) server.close();
JS
read -r port controller_port < <(node_modules/.bin/node ports.mjs)

cat >server.properties <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller_port
listeners=BROKER://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller_port
advertised.listeners=BROKER://127.0.0.1:$port
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
log.dirs=$folder/log
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
PROPERTIES
java=(java -Xmx512m -XX:-UsePerfData -Djava.io.tmpdir="$folder" -cp "$folder/libs/*")
"${java[@]}" kafka.tools.StorageTool format -t AAECAwQFBgcICQoLDA0ODw -c server.properties >format.log 2>&1
"${java[@]}" kafka.Kafka server.properties >broker.log 2>&1 &
broker=$!

cat >transactions.mjs <<'JS'
import kafkajs from 'kafkajs';

const [, , broker] = process.argv;
const kafka = new kafkajs.Kafka({ clientId: 'finding', brokers: [broker], logLevel: kafkajs.logLevel.NOTHING, retry: { retries: 20 } });
const admin = kafka.admin();
await admin.connect();
await admin.createTopics({ topics: ['keys', 'overlap'].map((topic) => ({ topic, numPartitions: 1 })), waitForLeaders: true });

const producers = await Promise.all(
  ['a', 'b'].map(async (transactionalId) => {
    const producer = kafka.producer({ transactionalId, idempotent: true, maxInFlightRequests: 1 });
    await producer.connect();
    return producer;
  }),
);
const int32 = (value) => {
  const key = Buffer.alloc(4);
  key.writeInt32BE(value);
  return key;
};
const send = (transaction, topic, value, key = 7) => transaction.send({ topic, messages: [{ key: int32(key), value }] });
const commitOne = async (topic) => {
  const transaction = await producers[0].transaction();
  await send(transaction, topic, 'committed');
  await transaction.commit();
};

const keyed = await producers[0].transaction();
for (const key of [1, 0, 2]) await send(keyed, 'keys', `aborted, key ${key}`, key);
await keyed.abort();
await commitOne('keys');

const [first, second] = [await producers[0].transaction(), await producers[1].transaction()];
await send(first, 'overlap', 'aborted, of the first');
await send(second, 'overlap', 'aborted, of the second');
await second.abort();
await send(first, 'overlap', 'aborted, of the first, later');
await first.abort();
await commitOne('overlap');

for (const topic of ['keys', 'overlap']) {
  const consumer = kafka.consumer({ groupId: topic, readUncommitted: false });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  const values = [];
  const { promise: last, resolve } = Promise.withResolvers();
  await consumer.run({
    eachMessage: async ({ message }) => {
      values.push(String(message.value));
      if (values.at(-1) === 'committed') resolve();
    },
  });
  await last;
  await consumer.disconnect();
  for (const value of values) console.log(`${topic}, kafkajs: ${value}`);
}
await Promise.all([admin, ...producers].map((client) => client.disconnect()));
JS

# What the console consumer returns first is the last record of the topic, so there is nothing else.
reference() {
  "${java[@]}" org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server "127.0.0.1:$port" --topic "$1" \
    --from-beginning --isolation-level read_committed --max-messages 1 --timeout-ms 60000 2>"reference-$1.log" |
    sed "s/^/$1, Kafka's consumer: /"
}

cat >expected <<'TEXT'
keys, kafkajs: aborted, key 0
keys, kafkajs: aborted, key 2
keys, kafkajs: committed
overlap, kafkajs: aborted, of the first
overlap, kafkajs: committed
keys, Kafka's consumer: committed
overlap, Kafka's consumer: committed
TEXT

echo "kafkajs $(node_modules/.bin/node -p "require('kafkajs/package.json').version"), Kafka $(basename libs/kafka_2.13-*.jar .jar | sed 's/.*-//')"
{ timeout 120 node_modules/.bin/node --no-warnings transactions.mjs "127.0.0.1:$port" && reference keys && reference overlap; } | tee seen ||
  { tail -n 20 broker.log reference-*.log; exit 1; }
diff expected seen || { echo 'CHANGED: see the lines above (< as recorded, > now).'; exit 1; }
echo 'UNCHANGED'
