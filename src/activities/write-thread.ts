/** A write task's thread. */
import { adapters } from '../adapters.ts';
import type { WriteOrder } from './dependencies.ts';
import { takeOrders } from './thread-order.ts';
import { carryOutWriteOrder } from './write-order.ts';

takeOrders((order: WriteOrder, onProgress) => carryOutWriteOrder(adapters, order, onProgress));
