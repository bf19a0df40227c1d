import { type LogMetadata, SdkComponent } from '@temporalio/common';
import type { LogEntry, LogLevel } from '@temporalio/worker';

/**
 * One line per event; what an activity says, or why it failed, in the words that the CLI and the UI show too.
 */
export function toStderr({ level, message, meta = {} }: Pick<LogEntry, 'level' | 'message' | 'meta'>): void {
  // The heavy worker has no workflows, and is meant to have none.
  if (message.startsWith('No workflows registered')) return;
  // `watchServer` says so once.
  if (/^gRPC call \w+ retried/.test(message)) return;
  // Below warnings, only the lines of our own activities matter.
  if (level !== 'INFO') say(level, lineOf(message, meta));
  else if (meta.sdkComponent === SdkComponent.activity) say(level, `${meta.workflowId}: ${message}`);
}

export function say(level: LogLevel, line: string): void {
  process.stderr.write(`${new Date().toISOString()} ${level} ${line}\n`);
}

export function lineOf(message: string, meta: LogMetadata): string {
  const { activityType, workflowId, attempt, error, sdkComponent, ...others } = meta;
  const cause = error instanceof Error ? error.message.replaceAll('\n', ' ') : undefined;
  if (activityType !== undefined && cause !== undefined)
    return `${activityType} of ${workflowId} failed, attempt ${attempt}: ${cause}`;
  if (activityType !== undefined && sdkComponent === SdkComponent.activity)
    return `${activityType} of ${workflowId}, attempt ${attempt}: ${message}`;
  const details = Object.entries({ ...(workflowId && { workflowId }), ...others })
    .filter(([, value]) => ['string', 'number', 'boolean'].includes(typeof value))
    .map(([name, value]) => `${name} ${value}`);
  return `${message}${cause === undefined ? '' : `: ${cause}`}${details.length > 0 ? ` (${details.join(', ')})` : ''}`;
}
