import { editDistance } from '../edit-distance.ts';
import { Failure } from '../errors.ts';
import type { KafkaSource } from './source.ts';
import type { SourceSpecification } from './source-specification.ts';

/**
 * The topics that the source option means now. Those of a pattern are looked up, sorted; there may be none.
 */
export async function selectTopics(
  selection: SourceSpecification['topics'],
  kafka: Pick<KafkaSource, 'listTopics'>,
): Promise<readonly string[]> {
  if (selection.kind === 'subscribe') return selection.topics;
  if (selection.kind === 'assign') return Object.keys(selection.partitions);
  return (await kafka.listTopics()).filter(topicFilter(selection));
}

/** Whether the source option reads a topic of this name. */
export function topicFilter(selection: SourceSpecification['topics']): (topic: string) => boolean {
  switch (selection.kind) {
    case 'subscribe':
      return (topic) => selection.topics.includes(topic);
    case 'subscribePattern': {
      const pattern = topicPattern(selection.pattern);
      return (topic) => pattern.test(topic);
    }
    case 'assign':
      return (topic) => Object.hasOwn(selection.partitions, topic);
  }
}

/** Whether the source option reads this partition. */
export function partitionFilter(
  selection: SourceSpecification['topics'],
): (partition: { readonly topic: string; readonly kafkaPartition: number }) => boolean {
  const isRead = topicFilter(selection);
  return ({ topic, kafkaPartition }) =>
    isRead(topic) &&
    (selection.kind !== 'assign' || selection.partitions[topic]?.includes(kafkaPartition) === true);
}

/** The failure for a pattern that no topic matches. */
export function noTopicMatches(pattern: string): Failure {
  return new Failure(
    'TOPIC_NOT_FOUND',
    `No topic's whole name matches source.subscribePattern '${pattern}'.`,
    "Correct the pattern, or create the topic: Tidemark never does. Internal topics are left out; 'crawl' does not match crawl.full, 'crawl.*' does.",
  );
}

/** Existing topics that a missing one may have been meant as: nearest first, at most `limit`. */
export function similarTopics(missing: string, existing: readonly string[], limit = 5): string[] {
  const name = missing.toLowerCase();
  return existing
    .filter((topic) => !topic.startsWith('__'))
    .map((topic) => ({ topic, distance: nameDistance(name, topic.toLowerCase()) }))
    .filter(({ distance }) => distance <= Math.max(1, name.length / 3))
    .sort((a, b) => a.distance - b.distance || (a.topic < b.topic ? -1 : 1))
    .slice(0, limit)
    .map(({ topic }) => topic);
}

/** Edits from one name to the other; 1 where one contains the other. */
function nameDistance(a: string, b: string): number {
  return a.includes(b) || b.includes(a) ? 1 : editDistance(a, b);
}

/** Matches whole topic names, as Spark's `subscribePattern` does. Throws SyntaxError. */
export function topicPattern(pattern: string): RegExp {
  return new RegExp(`^(?:${pattern})$`, 'u');
}
