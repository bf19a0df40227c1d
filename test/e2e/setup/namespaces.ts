import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from '@temporalio/client';
import { uniqueName } from './topics.ts';

const SERVED_WITHIN_MS = 60_000;

export async function newNamespaces(temporalAddress: string, count: number): Promise<string[]> {
  const connection = await Connection.connect({ address: temporalAddress });
  try {
    return await Promise.all(Array.from({ length: count }, () => newNamespace(connection)));
  } finally {
    await connection.close();
  }
}

/**
 * Makes a namespace of Temporal and waits until it is served: task queues have fixed names, and are a
 * namespace's own. @returns its name
 */
export async function newNamespace(connection: Connection): Promise<string> {
  const namespace = uniqueName('lane');
  await connection.workflowService.registerNamespace({
    namespace,
    workflowExecutionRetentionPeriod: { seconds: (24 * 3600) as never },
  });
  for (const until = Date.now() + SERVED_WITHIN_MS; ; ) {
    const served = await connection.workflowService.listOpenWorkflowExecutions({ namespace }).then(
      () => true,
      () => false,
    );
    if (served) return namespace;
    if (Date.now() > until) throw new Error(`namespace ${namespace} is not there`);
    await sleep(100);
  }
}
