/**
 * Calls `work` for each item, in the items' order, so many at once; results in that order too.
 *
 * After a failure no further item is begun; all that runs ends before the first failure is thrown. So whoever catches it meets
 * nothing that still goes on.
 */
export async function inLanes<Item, Result>(
  items: Iterable<Item>,
  atOnce: number,
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const queue = items[Symbol.iterator]();
  const results: Result[] = [];
  const failures: unknown[] = [];
  let begun = 0;
  const lane = async () => {
    while (failures.length === 0) {
      const next = queue.next();
      if (next.done === true) return;
      const at = begun++;
      try {
        results[at] = await work(next.value);
      } catch (failure) {
        failures.push(failure);
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  if (failures.length > 0) throw failures[0];
  return results;
}
