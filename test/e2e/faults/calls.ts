/**
 * Every call through an injected interface has a name that is the same in each run of a scenario: the
 * activity and its number in the workflow, the object with its uuids and hashes masked, and how often that
 * has been called before. A recording run writes the names down; another run of the scenario has its fault at
 * one of them.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { Failure, type FailureCode } from '../../../src/errors.ts';

/**
 * `killHalfway`: half of the bytes of a `write` are with the operating system. `loseAnswer`: done, and told
 * as failed.
 */
export type Way = 'killBefore' | 'killHalfway' | 'killAfter' | 'loseAnswer';

/** What the workers of a lane read at each activity: one run of a scenario. */
export interface RunPlan {
  readonly workflowId: string;
  readonly location: string;
  /** Where calls are written down, a `RecordedCall` a line. */
  readonly record?: string;
  readonly fault?: { readonly call: string; readonly way: Way };
  /** Made when the fault hits, with the time: it hits once, in whichever process. */
  readonly hitFile: string;
}

export interface RecordedCall {
  readonly call: string;
  readonly atMs: number;
}

/** One attempt of an activity, in the worker or in a thread of it. */
export class Calls {
  readonly plan: RunPlan;
  private readonly activity: string;
  private readonly counts = new Map<string, number>();

  /** @param activity type and number in the workflow: `commitBatch#5` */
  constructor(plan: RunPlan, activity: string) {
    this.plan = plan;
    this.activity = activity;
  }

  /** @param doHalf does half of the work, where there are halves */
  async through<T>(what: string, work: () => Promise<T>, doHalf?: () => Promise<unknown>): Promise<T> {
    const count = (this.counts.get(what) ?? 0) + 1;
    this.counts.set(what, count);
    const call = `${this.activity} ${what}${count > 1 ? ` (${count})` : ''}`;
    const { record, fault } = this.plan;
    if (record !== undefined)
      appendFileSync(record, `${JSON.stringify({ call, atMs: Date.now() } satisfies RecordedCall)}\n`);
    const way = fault?.call === call ? fault.way : undefined;
    if (way === 'killBefore' && this.hits()) return await die();
    if (way === 'killHalfway' && doHalf !== undefined && this.hits()) {
      await doHalf();
      return await die();
    }
    const result = await work();
    if (way === 'killAfter' && this.hits()) return await die();
    if (way === 'loseAnswer' && this.hits()) throw lostAnswer(what);
    return result;
  }

  private hits(): boolean {
    try {
      writeFileSync(this.plan.hitFile, String(Date.now()), { flag: 'wx' });
      return true;
    } catch {
      return false;
    }
  }
}

const current = new AsyncLocalStorage<Calls>();

/** Runs one attempt of an activity with its calls counted; as it is, where it belongs to no run of ours. */
export async function withCalls<T>(
  planFile: string,
  { workflowId, activity }: { workflowId: string | undefined; activity: string },
  work: () => Promise<T>,
): Promise<T> {
  const plan: RunPlan = JSON.parse(readFileSync(planFile, 'utf8'));
  if (plan.workflowId !== workflowId) return await work();
  const calls = new Calls(plan, activity);
  return await current.run(calls, () => calls.through('activity', work));
}

/** Of the activity that the caller is part of. */
export function currentCalls(): Calls | undefined {
  return current.getStore();
}

export function enterCalls(calls: Calls): void {
  current.enterWith(calls);
}

/** uuids, hashes and workflow ids differ from run to run. */
export function masked(path: string): string {
  return path
    .replace(/runs\/[^/]+\//, 'runs/*/')
    .replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, '*')
    .replaceAll(/\b[0-9a-f]{16}\b/g, '*');
}

async function die(): Promise<never> {
  process.kill(process.pid, 'SIGKILL');
  return await new Promise<never>(() => {});
}

function lostAnswer(what: string): Error {
  const message = `The answer to ${what} was lost.`;
  if (what === 'activity') return new Error(message);
  const code: FailureCode = what.startsWith('kafka')
    ? 'KAFKA_UNREACHABLE'
    : what.startsWith('process')
      ? 'REWRITE_FAILED'
      : 'STORAGE_FAILED';
  return new Failure(code, message, 'It is tried again.');
}
