import { type ChildProcess, fork } from 'node:child_process';
import { Failure, type FailureCode } from '../errors.ts';

export interface ProcessSettings {
  /** The process's file, of `entryFile`. */
  readonly entry: string;
  readonly args?: readonly string[];
  /** Of JavaScript objects; DuckDB's memory lies outside. */
  readonly heapMiB: number;
  /** Of young objects. */
  readonly semiSpaceMiB?: number;
  /** Its whole environment beside the time zone: it needs no credentials. */
  readonly environment?: Readonly<Record<string, string>>;
  /** `advanced` also carries what JSON does not: bigints, bytes, maps. @default json */
  readonly serialization?: 'json' | 'advanced';
  /** Completes "The process that ...". */
  readonly work: string;
  /** Of the failure that its death is, with what to do about it. */
  readonly code: FailureCode;
  readonly fix: string;
}

/** Of what it wrote to stderr, the end: where DuckDB or Node crashed, the reason. */
const STDERR_KEPT = 2000;

/**
 * A process of its own for DuckDB, which gets its orders by messages: its crash, or the kernel taking its
 * memory, is only a failure. Its owner ends it; it ends by itself when this process is gone.
 */
export class SupervisedProcess<Order extends object, Message extends object> {
  /** Never rejects: resolves to the failure with which callers that still wait for a message are rejected. */
  readonly ended: Promise<Failure>;
  private readonly child: ChildProcess;
  private readonly end: (code: number | null, signal: NodeJS.Signals | null) => void;

  constructor(settings: ProcessSettings) {
    const { entry, args = [], heapMiB, semiSpaceMiB, environment, serialization = 'json' } = settings;
    const semiSpace = semiSpaceMiB === undefined ? [] : [`--max-semi-space-size=${semiSpaceMiB}`];
    const child = fork(entry, args, {
      serialization,
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      execArgv: [`--max-old-space-size=${heapMiB}`, ...semiSpace],
      // DuckDB writes instants in the zone of the process.
      env: { TZ: 'UTC', ...environment },
    });
    let stderr = '';
    child.stderr?.on('data', (text) => {
      stderr = (stderr + text).slice(-STDERR_KEPT);
    });
    const { promise, resolve } = Promise.withResolvers<Failure>();
    const died = (how: string) => resolve(processDied(settings, how, stderr));
    this.child = child;
    this.ended = promise;
    this.end = (code, signal) => died(signal === null ? `with exit code ${code}` : `by ${signal}`);
    child.once('close', this.end);
    child.on('error', (error) => died(`by an error: ${error.message}`));
  }

  /**
   * The answer to an order: the first message that is not `interim`. One order at a time. Rejects with what
   * `ended` is.
   *
   * @param interim takes what the process says before, and tells that it was no answer
   */
  async ask(order: Order, interim?: (message: Message) => boolean): Promise<Message> {
    const answer = this.nextMessage(interim);
    // Where it cannot be sent, the end of the process tells why.
    this.child.send(order, (error) => error && this.child.kill('SIGKILL'));
    return await answer;
  }

  /** What the process says first, before it is asked; then as `ask`. */
  async nextMessage(interim: (message: Message) => boolean = () => false): Promise<Message> {
    const { promise, resolve } = Promise.withResolvers<Message>();
    const hear = (message: Message) => {
      if (!interim(message)) resolve(message);
    };
    this.child.on('message', hear);
    const first = await Promise.race([promise, this.ended]);
    this.child.off('message', hear);
    if (first instanceof Failure) throw first;
    return first;
  }

  /** Ends it wherever it is. */
  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.ended;
  }

  /** Leaves it alone, so that it cleans up and ends. */
  async leave(): Promise<void> {
    const { child } = this;
    if (child.exitCode === null && child.signalCode === null) {
      // It says `close` only where its own end of the line was closed first.
      child.once('exit', this.end);
      if (child.connected) child.disconnect();
    }
    await this.ended;
  }
}

function processDied({ work, code, fix }: ProcessSettings, how: string, output: string): Failure {
  const said = output === '' ? '' : `\n${output.trim()}`;
  return new Failure(code, `The process that ${work} ended ${how}.${said}`, fix);
}
