/** Goal: a pattern means the topics that Spark's would. Method: names around the pattern, case by case. */
import { expect, it } from 'vitest';
import { selectTopics, similarTopics } from '../../src/kafka/topic-names.ts';

const TOPICS = ['crawl', 'crawl.delta', 'crawl.full', 'crawlers', 'my.crawl.full', 'weather'];
const select = (selection: Parameters<typeof selectTopics>[0]) =>
  selectTopics(selection, { listTopics: async () => TOPICS });

it.each([
  ['crawl', 'crawl'],
  ['crawl.*', 'crawl,crawl.delta,crawl.full,crawlers'],
  ['crawl\\.(full|delta)', 'crawl.delta,crawl.full'],
  ['crawl|weather', 'crawl,weather'],
  ['^crawl$', 'crawl'],
  ['CRAWL', ''],
  ['', ''],
])('%j matches whole names', async (pattern, names) => {
  expect((await select({ kind: 'subscribePattern', pattern })).join()).toBe(names);
});

it('named topics are taken as they are named, missing ones too', async () => {
  expect(await select({ kind: 'subscribe', topics: ['b', 'a'] })).toEqual(['b', 'a']);
  expect(await select({ kind: 'assign', partitions: { b: [0], a: [1] } })).toEqual(['b', 'a']);
});

it('a misspelt topic is shown the nearest ones', () => {
  expect(similarTopics('crawl.ful', TOPICS)).toContain('crawl.full');
  expect(similarTopics('nothing-like-it', TOPICS)).toEqual([]);
});
