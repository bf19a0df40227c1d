/**
 * Calls `work` for each item, in the items' order, at most so many at once; returns the results in that
 * order.
 *
 * After a failure no further item is begun, and all running calls end before the first failure is thrown. So
 * nothing is still running when the caller catches it.
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
