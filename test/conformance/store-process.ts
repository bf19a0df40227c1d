import { once } from 'node:events';
import { contentOf, openStore, type StoreKind } from './stores.ts';

/**
 * One of several processes at a store. `race <id> <count>`: waits for its input, then claims every object and
 * prints those it was told are its own. `forever <round>`: creates and replaces objects until it is killed.
 */
const [, , kind, root, mode, number, count] = process.argv;
const store = openStore(kind as StoreKind, String(root));
const id = Number(number);

if (mode === 'race') {
  console.log('ready');
  await once(process.stdin, 'data');
  for (let i = 0; i < Number(count); i++) {
    if ((await store.putIfAbsent(`race/${i}`, contentOf(id))) === 'created') console.log(`race/${i}`);
  }
  process.stdin.destroy();
} else {
  for (let i = 1; ; i++) {
    await store.put('replaced', contentOf(i % 100));
    await store.putIfAbsent(`round${id}/folder${i}/once`, contentOf(i % 100));
    if (i === 1) console.log('ready');
  }
}
