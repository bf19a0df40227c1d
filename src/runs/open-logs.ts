import { DeltaLog } from '../delta/log.ts';
import type { OpenStore } from '../storage/stores.ts';

/**
 * One log per location: its snapshot is cached and advanced.
 *
 * @param onLogCheckpointFailed a commit goes on without its log checkpoint
 */
export function openLogs(
  openStore: OpenStore,
  onLogCheckpointFailed: (location: string, error: unknown) => void = () => {},
): (location: string) => DeltaLog {
  const logs = new Map<string, DeltaLog>();
  return (location) => {
    const log =
      logs.get(location) ??
      new DeltaLog(openStore(location), {
        now: Date.now,
        onLogCheckpointFailed: (error) => onLogCheckpointFailed(location, error),
      });
    logs.set(location, log);
    return log;
  };
}
