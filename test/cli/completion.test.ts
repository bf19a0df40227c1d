/**
 * Goal: what `tidemark completion` prints completes verbs, their options, the values of these and the names
 * of pipelines, in real shells. Method: a shell at a terminal that gets Tabs, with a `tidemark` that says
 * what it was called with; the whole tree compared with `--help`; zsh and fish where they are installed.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { atTerminal } from '../e2e/setup/terminal.ts';
import { run } from './run.ts';

vi.setConfig({ testTimeout: 120_000 });

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidemark-completion-'));
  await mkdir(join(folder, 'pipelines'));
  for (const name of ['products', 'orders', 'old.orders'])
    await writeFile(join(folder, 'pipelines', `${name}.yaml`), '');
  for (const shell of ['bash', 'zsh', 'fish']) {
    const { exitCode, stdout } = await run(['completion', shell]);
    expect(exitCode).toBe(0);
    await writeFile(join(folder, `script.${shell}`), stdout);
  }
}, 120_000);
afterAll(() => rm(folder, { recursive: true }));

const isThere = (shell: string) => spawnSync(shell, ['--version']).status === 0;

/** What bash offers where the cursor stands behind `words`. */
function offered(words: readonly string[], shell = 'bash'): string[] {
  const quoted = ['tidemark', ...words].map((word) => `'${word}'`).join(' ');
  const script = `source script.bash; COMP_WORDS=(${quoted}); COMP_CWORD=${words.length}; _tidemark; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const stdout = execFileSync(shell, ['--norc', '-c', script], { cwd: folder, encoding: 'utf8' });
  return stdout.split('\n').filter((line) => line !== '');
}

describe('bash', () => {
  it('knows every verb of --help, and every option of each', async () => {
    const help = await run(['--help']);
    const verbs = [...help.stdout.matchAll(/^ {2}([a-z][a-z-]+) /gm)]
      .map(([, verb]) => verb ?? '')
      .filter((verb) => verb !== 'help');
    expect(verbs.length).toBeGreaterThan(12);
    expect(offered([''])).toEqual(expect.arrayContaining(verbs));
    for (const verb of verbs) {
      const { stdout } = await run([verb, '--help']);
      const options = [...stdout.matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)/gm)].map(([, option]) => option ?? '');
      expect(offered([verb, '--']), verb).toEqual(expect.arrayContaining(options));
    }
  });

  it.each([
    [['dr'], ['drain']],
    [['schedule', 'a'], ['apply']],
    [
      ['dead-letters', 'list', ''],
      ['old.orders', 'orders', 'products'],
    ],
    [['drain', 'pro'], ['products']],
    [
      ['schedule', 'apply', 'o'],
      ['old.orders', 'orders'],
    ],
    [
      ['-o', 'js'],
      ['json', 'jsonl'],
    ],
    [
      ['status', 'orders', '--color', ''],
      ['auto', 'always', 'never'],
    ],
    [
      ['completion', ''],
      ['bash', 'zsh', 'fish'],
    ],
    [['drain', '--pipelines', 'elsewhere', ''], []],
    [['nonsense', 'x'], []],
  ])('%j', (words, expected) => {
    expect(offered(words)).toEqual(expected);
  });
});

/** The words that a Tab makes of what is typed, as the shell then calls `tidemark` with them. */
async function typed(shell: readonly string[], prompt: string, typing: string): Promise<string> {
  const { screen } = await atTerminal(['env', `PS1=${prompt}`, ...shell], { HOME: folder, TERM: 'dumb' }, [
    [/> $/, `cd ${folder}`],
    [/> $/, 'tidemark() { echo "called with:" "$@"; }'],
    [/> $/, `source ./script.${shell[0]}`],
    [/> $/, typing],
    [/called with: .*\n.*> $/s, 'exit'],
  ]);
  return /called with: (.*)/.exec(screen.slice(screen.lastIndexOf('script.')))?.[1]?.trim() ?? screen;
}

describe('at a terminal, with Tab', () => {
  it('bash', async () => {
    expect(await typed(['bash', '--norc', '-i'], '> ', 'tidemark dr\tpro\t--unt\tlatest')).toBe(
      'drain products --until latest',
    );
  });

  it.runIf(isThere('zsh'))('zsh', async () => {
    expect(await typed(['zsh', '-f', '-i'], '> ', 'tidemark dr\tpro\t--unt\tlatest')).toBe(
      'drain products --until latest',
    );
  });
});

it.runIf(isThere('fish'))('fish completes verbs, options, values and pipelines', () => {
  const complete = (line: string) => {
    const script = `source script.fish; complete -C '${line}'`;
    const stdout = execFileSync('fish', ['--no-config', '-c', script], {
      cwd: folder,
      encoding: 'utf8',
      env: { ...process.env, HOME: folder },
    });
    return stdout
      .split('\n')
      .filter((one) => one !== '')
      .map((one) => one.split('\t')[0]);
  };
  expect(complete('tidemark dr')).toEqual(['drain']);
  expect(complete('tidemark schedule ')).toEqual(expect.arrayContaining(['apply', 'delete', 'list']));
  expect(complete('tidemark schedule apply ')).toEqual(['old.orders', 'orders', 'products']);
  expect(complete('tidemark drain --unt')).toEqual(['--until']);
  expect(complete('tidemark status -o json')).toEqual(expect.arrayContaining(['json', 'jsonl']));
});
