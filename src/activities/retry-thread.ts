/** The thread in which letters are decoded again. */
import { adapters } from '../adapters.ts';
import { carryOutRetryOrder } from './retry-order.ts';
import { carryOutOrder } from './thread-order.ts';

await carryOutOrder((order, onProgress) => carryOutRetryOrder(adapters, order, onProgress));
