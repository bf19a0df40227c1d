import { spawn } from 'node:child_process';
import { once } from 'node:events';

export interface TerminalResult {
  readonly exitCode: number | null;
  /** All that the terminal showed, without the sequences that move its cursor or colour it. */
  readonly screen: string;
}

const CONTROL = '\\x1b\\[[0-9;?]*[A-Za-z]';

/**
 * Runs a command at a terminal of 80 columns (util-linux's `script`), and types an answer whenever the screen
 * has come to end in its question.
 */
export async function atTerminal(
  words: readonly string[],
  env: Readonly<Record<string, string>>,
  answers: readonly (readonly [question: RegExp, answer: string])[],
): Promise<TerminalResult> {
  const command = words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
  const child = spawn('script', ['-qec', `stty cols 80 rows 40; exec ${command}`, '/dev/null'], {
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let screen = '';
  let unread = '';
  let next = 0;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const plain = text.replace(new RegExp(CONTROL, 'g'), '').replaceAll('\r', '');
    screen += plain;
    unread += plain;
    const [question, answer] = answers[next] ?? [];
    if (question === undefined || answer === undefined || !question.test(unread)) return;
    next++;
    unread = '';
    child.stdin.write(`${answer}\r`);
  });
  const [exitCode] = await once(child, 'close');
  if (next < answers.length) throw new Error(`never asked ${answers[next]?.[0]}:\n${screen}`);
  return { exitCode, screen };
}
