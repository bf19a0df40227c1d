import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { ReadersEnvironment } from '../../readers/environment.ts';

/** What the table at `location` has to hold; see `fault_checker.py`. */
export interface Expectation {
  readonly location: string;
  readonly deadLetters: string;
  readonly rowMax: number;
  readonly letterMax: number;
  readonly filterEvery: number;
}

export interface Finding {
  readonly records: number;
  readonly rows: number;
  readonly letters: number;
  readonly lost: number;
  readonly duplicate: number;
  readonly wrong: number;
  readonly examples: readonly string[];
}

/** delta-rs against librdkafka, in one Python process for many tables. */
export class Checker {
  private readonly child: ChildProcessWithoutNullStreams;
  private readonly waiting: ((line: string) => void)[] = [];
  private stderr = '';

  constructor({ python }: ReadersEnvironment, brokers: string, topic: string) {
    const script = fileURLToPath(new URL('../../readers/fault_checker.py', import.meta.url));
    this.child = spawn(python, [script, topic], {
      env: { ...process.env, KAFKA_BROKERS: brokers, PYTHONDONTWRITEBYTECODE: '1' },
    });
    createInterface(this.child.stdout).on('line', (line) => this.waiting.shift()?.(line));
    this.child.stderr.on('data', (text) => {
      this.stderr = (this.stderr + text).slice(-2000);
    });
    this.child.on('close', () => {
      for (const answer of this.waiting.splice(0)) answer(JSON.stringify({ error: this.stderr }));
    });
  }

  async check(expectation: Expectation): Promise<Finding> {
    const line = new Promise<string>((resolve) => this.waiting.push(resolve));
    this.child.stdin.write(`${JSON.stringify(expectation)}\n`);
    const answer = JSON.parse(await line);
    if (answer.error !== undefined) throw new Error(`fault_checker.py: ${answer.error}`);
    return answer;
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null) return;
    const gone = once(this.child, 'close');
    this.child.stdin.end();
    await gone;
  }
}
