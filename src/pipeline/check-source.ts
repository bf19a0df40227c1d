import type { SourceSpecification } from '../kafka/source-specification.ts';
import { topicPattern } from '../kafka/topic-names.ts';
import { duplicates } from './problems.ts';
import type { IsGiven, Options, Refuse } from './read-shape.ts';

/** Broker addresses; credentials in them are refused without being shown. */
export function checkServers(servers: readonly string[], refuse: Refuse): readonly string[] {
  const path = ['source', 'bootstrapServers'];
  if (servers.length === 0)
    refuse(path, 'source.bootstrapServers is empty.', 'Write for example 127.0.0.1:9092.');
  for (const server of servers) {
    if (server.includes('@')) {
      refuse(path, 'source.bootstrapServers has credentials in it.', 'Write host:port only.');
    } else if (server.includes('://')) {
      const message = `source.bootstrapServers has a scheme: '${server}'.`;
      refuse(path, message, 'Write host:port; TLS and authentication are not supported yet.');
    } else if (!isHostAndPort(server)) {
      const message = `source.bootstrapServers must be host:port, not '${server}'.`;
      refuse(path, message, 'Write for example 127.0.0.1:9092.');
    }
  }
  return servers;
}

function isHostAndPort(server: string): boolean {
  const [, port] = /^(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})$/.exec(server) ?? [];
  return port !== undefined && Number(port) >= 1 && Number(port) <= 65_535;
}

/** Exactly one of `subscribe`, `subscribePattern` and `assign`. The texts are Spark's. */
export function topicsOf(
  source: Options<'source'>,
  refuse: Refuse,
): SourceSpecification['topics'] | undefined {
  const { subscribe, subscribePattern, assign } = source;
  const given = Object.entries({ subscribe, subscribePattern, assign }).filter(
    ([, value]) => value !== undefined,
  );
  if (given.length > 1) {
    const names = given.map(([name]) => name).join(', ');
    const message = `Only one of the following options can be specified for Kafka source: ${names}.`;
    const fix =
      'Keep subscribe for whole topics, subscribePattern for topics by name, or assign for single partitions.';
    refuse(['source', given[1]?.[0] ?? ''], message, fix);
  }
  if (subscribe) return subscribed(subscribe, refuse);
  if (subscribePattern !== undefined) return matched(subscribePattern, refuse);
  return assign && assigned(assign, refuse);
}

function subscribed(topics: readonly string[], refuse: Refuse): SourceSpecification['topics'] {
  const path = ['source', 'subscribe'];
  if (topics.length === 0) {
    const message = "No topics to subscribe to as specified value for option 'subscribe' is '[]'.";
    refuse(path, message, 'Name a topic.');
  }
  for (const topic of duplicates(topics)) refuse(path, `Topic ${topic} is named twice.`, 'Keep one of them.');
  return { kind: 'subscribe', topics };
}

function matched(pattern: string, refuse: Refuse): SourceSpecification['topics'] {
  const path = ['source', 'subscribePattern'];
  if (pattern.trim() === '') {
    const message = `Pattern to subscribe is empty as specified value for option 'subscribePattern' is '${pattern}'.`;
    refuse(path, message, 'Write for example crawl\\..*');
  }
  try {
    // By itself first: within the group that matches whole names, `a)|(b` would be balanced.
    new RegExp(pattern, 'u');
    topicPattern(pattern);
  } catch (error) {
    const reason = (error as Error).message.replace(/^.*\/u?: /, '').replace(/\.?$/, '.');
    refuse(path, `source.subscribePattern is not a regular expression: ${reason}`, patternAdvice(pattern));
  }
  return { kind: 'subscribePattern', pattern };
}

/**
 * What Java's expressions, and so Spark's, have and JavaScript's have not: none of it would pass unnoticed.
 */
const JAVA_ONLY: readonly (readonly [form: RegExp, advice: string])[] = [
  [/\(\?[a-zA-Z]+\)/, 'A flag holds for a group here: (?i:crawl\\..*) instead of (?i)crawl\\..*'],
  [/\\p\{(?:Alpha|Digit|Alnum|Upper|Lower|Punct)\}/, 'Write [a-zA-Z0-9] and the like instead of \\p{Alnum}.'],
  [/[*+?}]\+/, 'There are no possessive quantifiers (a++) here: a+ matches the same whole names or more.'],
  [/\(\?>/, 'There are no atomic groups (?>...) here: write (?:...).'],
  [/\\Q|\\E/, 'There is no \\Q...\\E here: put a \\ before each special character.'],
  [/\\[AzZ]/, 'The whole name must match anyway: leave \\A, \\z and \\Z out.'],
  [/&&/, 'There is no intersection of classes (&&) here: use a lookahead, (?!b)[a-z].'],
];

function patternAdvice(pattern: string): string {
  const java = JAVA_ONLY.find(([form]) => form.test(pattern));
  return java?.[1] ?? 'It is a JavaScript expression over whole topic names, such as crawl\\..*';
}

function assigned(
  partitionsOf: Readonly<Record<string, readonly number[]>>,
  refuse: Refuse,
): SourceSpecification['topics'] {
  const path = ['source', 'assign'];
  const none = Object.entries(partitionsOf).filter(([, partitions]) => partitions.length === 0);
  if (none.length > 0 || Object.keys(partitionsOf).length === 0) {
    const message = `No topicpartitions to assign as specified value for option 'assign' is '${JSON.stringify(partitionsOf)}'.`;
    refuse(path, message, 'Name a topic with its partitions, such as {orders: [0, 1]}.');
  }
  for (const [topic, partitions] of Object.entries(partitionsOf)) {
    for (const partition of duplicates(partitions)) {
      refuse([...path, topic], `Partition ${partition} of ${topic} is named twice.`, 'Keep one of them.');
    }
  }
  return { kind: 'assign', partitions: partitionsOf };
}

/**
 * Offsets and times for the topics of `subscribe`, or for the partitions of `assign`: no more and no fewer.
 * What a pattern matches, and the partitions of subscribed topics, are compared with Kafka's when a drain is
 * planned.
 */
export function checkStart(source: Options<'source'>, isGiven: IsGiven, refuse: Refuse): void {
  checkNamed('startingOffsets', source, refuse);
  checkNamed('startingOffsetsByTimestamp', source, refuse);
  const strategy = ['source', 'startingOffsetsByTimestampStrategy'];
  const hasTimes = ['startingTimestamp', 'startingOffsetsByTimestamp'].some((one) =>
    isGiven(['source', one]),
  );
  if (!isGiven(strategy) || hasTimes) return;
  const message = 'source.startingOffsetsByTimestampStrategy is given, but no time to begin at.';
  refuse(strategy, message, 'Add startingTimestamp or startingOffsetsByTimestamp, or remove it.');
}

function checkNamed(
  option: 'startingOffsets' | 'startingOffsetsByTimestamp',
  source: Options<'source'>,
  refuse: Refuse,
): void {
  const { subscribe, assign, [option]: start } = source;
  if (typeof start !== 'object') return;
  const specified = assign ? partitionNames(start) : Object.keys(start);
  const wanted = assign ? partitionNames(assign) : subscribe;
  if (wanted === undefined || isSameSet(specified, wanted)) return;
  const defaults =
    option === 'startingOffsets' ? "Use -1 for latest, -2 for earliest, if you don't care.\n" : '';
  refuse(
    ['source', option],
    `If ${option} contains specific offsets, you must specify all TopicPartitions.\n` +
      `${defaults}Specified: ${specified.toSorted().join(', ')} Assigned: ${wanted.toSorted().join(', ')}`,
    `Name the same ${assign ? 'partitions' : 'topics'} in both options.`,
  );
}

function partitionNames(topics: Readonly<Record<string, object>>): string[] {
  return Object.entries(topics).flatMap(([topic, partitions]) =>
    (Array.isArray(partitions) ? partitions : Object.keys(partitions)).map(
      (partition) => `${topic}-${partition}`,
    ),
  );
}

/**
 * As the specification has them: one time for all, or one for each partition. The first wins, as in Spark.
 */
export function startingTimestampsOf({
  startingTimestamp,
  startingOffsetsByTimestamp,
}: Options<'source'>): Pick<SourceSpecification, 'startingTimestamps'> {
  const startingTimestamps = startingTimestamp ?? startingOffsetsByTimestamp;
  return startingTimestamps === undefined ? {} : { startingTimestamps };
}

function isSameSet(one: readonly string[], other: readonly string[]): boolean {
  return one.every((name) => other.includes(name)) && other.every((name) => one.includes(name));
}
