/** A write task's thread. */
import { adapters } from '../adapters.ts';
import { carryOutOrder } from './thread-order.ts';
import { carryOutWriteOrder } from './write-order.ts';

await carryOutOrder((order, onProgress) => carryOutWriteOrder(adapters, order, onProgress));
