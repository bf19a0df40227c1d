import { DeltaLog } from '../delta/log.ts';
import type { OpenStore } from '../storage/stores.ts';

/** One log per location: its snapshot is cached and advanced. */
export function openLogs(openStore: OpenStore): (location: string) => DeltaLog {
  const logs = new Map<string, DeltaLog>();
  return (location) => {
    const log = logs.get(location) ?? new DeltaLog(openStore(location), { now: Date.now });
    logs.set(location, log);
    return log;
  };
}
