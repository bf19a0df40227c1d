/** A write task's thread. */

import type { WriteOrder } from '../activities/dependencies.ts';
import { adapters } from '../adapters.ts';
import { takeOrders } from './thread-order.ts';
import { carryOutWriteOrder } from './write-order.ts';

takeOrders((order: WriteOrder, onProgress) => carryOutWriteOrder(adapters, order, onProgress));
