import { Failure } from '../errors.ts';

/** Whether there is a person who can be asked: questions go to stderr, since stdout is for data. */
export function canAsk(): boolean {
  return process.stdin.isTTY === true && process.stderr.isTTY === true;
}

/** Asks one question at the terminal. Ctrl-C ends the process as anywhere; Ctrl-D throws CANCELLED. */
export async function ask(question: string): Promise<string> {
  const { createInterface } = await import('node:readline/promises');
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const { promise: closed, reject } = Promise.withResolvers<never>();
  terminal.on('SIGINT', () => process.kill(process.pid, 'SIGINT'));
  terminal.on('close', () =>
    reject(new Failure('CANCELLED', 'Nothing was changed.', 'Start again when you like.')),
  );
  try {
    return (await Promise.race([terminal.question(question), closed])).trim();
  } finally {
    closed.catch(() => {});
    terminal.close();
  }
}

/** The answer, or `otherwise` where it is empty. Asked again while `problem` finds one. */
export async function askFor(
  what: string,
  otherwise: string,
  problem: (answer: string) => string | undefined = () => undefined,
): Promise<string> {
  for (;;) {
    const answer = (await ask(`${what}${otherwise === '' ? '' : ` [${otherwise}]`}: `)) || otherwise;
    const found = problem(answer);
    if (found === undefined) return answer;
    process.stderr.write(`${found}\n`);
  }
}

export async function askYes(what: string, otherwise: boolean): Promise<boolean> {
  const answer = await askFor(`${what} (${otherwise ? 'Y/n' : 'y/N'})`, '', (text) =>
    /^(?:y|yes|n|no)?$/i.test(text) ? undefined : 'Answer y or n.',
  );
  return answer === '' ? otherwise : answer.toLowerCase().startsWith('y');
}
