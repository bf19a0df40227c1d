// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these texts are what is tested
/**
 * Goal: the command line's contract: data on stdout, the rest on stderr, exit codes, messages without stack
 * traces, signals and closed pipes. Method: real processes.
 */
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { VALID } from '../pipeline/parse.ts';
import { ended, run, start } from './run.ts';

const EXAMPLES = resolve(import.meta.dirname, '../../examples');
const VERBS = [
  'drain',
  'compact',
  'vacuum',
  'pause',
  'resume',
  'cancel',
  'schedule',
  'worker',
  'validate',
  'doctor',
  'plan',
  'status',
  'files',
  'query',
  'init',
  'dev',
  'demo',
];

vi.setConfig({ testTimeout: 60_000 });

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidemark-cli-'));
  await writeFile(join(folder, 'orders.yaml'), VALID);
  await writeFile(
    join(folder, 'wrong.yaml'),
    VALID.replace('failFast', 'deadletter').replace('orders]', '"${TOPIC}"]'),
  );
});
afterAll(() => rm(folder, { recursive: true }));

describe('help', () => {
  it('lists every verb on stdout', async () => {
    const { exitCode, stdout, stderr } = await run(['--help']);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    for (const verb of VERBS) expect(stdout).toMatch(new RegExp(`^ {2}${verb} `, 'm'));
    expect(stdout).toMatch(/^ {2}TEMPORAL_ADDRESS /m);
  });

  it.concurrent.each(VERBS)('%s --help shows what the verb takes', async (verb) => {
    const { exitCode, stdout } = await run([verb, '--help']);
    expect(exitCode).toBe(0);
    expect(stdout).toContain(`Usage: tidemark ${verb} [options]`);
  });

  it('help files is files --help', async () => {
    const [help, option] = await Promise.all([run(['help', 'files']), run(['files', '--help'])]);
    expect(help).toEqual(option);
  });

  it('--version is the package version', async () => {
    const { stdout } = await run(['--version']);
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe('wrong usage ends with 2, one screen on stderr, nothing on stdout', () => {
  it.each([
    [['drian'], "unknown command 'drian'", 'Did you mean drain?'],
    [['files', '--ouput', 'json'], "unknown option '--ouput'", 'Did you mean --output?'],
    [['files'], "missing required argument 'pipeline'", 'tidemark files --help'],
    [['-o', 'xml', 'files', 'x'], 'Allowed choices are text, json, jsonl', '--help'],
    [['files', 'a', 'b'], 'too many arguments', '--help'],
    [['schedule', 'aply'], "unknown command 'aply'", 'Did you mean apply?'],
    [['drain', 'orders', '--until', 'tomorrow'], '--until', 'For example'],
  ])('%j', async (args, what, fix) => {
    const { exitCode, stdout, stderr } = await run(args, { TIDEMARK_PIPELINES: folder });
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toContain(what);
    expect(stderr).toContain(fix);
    expect(stderr.split('\n').length).toBeLessThan(12);
    expect(stderr).not.toMatch(/^ {4}at /m);
  });

  it('no verb shows the help', async () => {
    const { exitCode, stdout, stderr } = await run([]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toContain('Usage: tidemark');
  });
});

describe('failures', () => {
  it('say what, where and what to do', async () => {
    const { exitCode, stdout, stderr } = await run(['files', 'order', '--pipelines', folder]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toBe(
      `error PIPELINE_NOT_FOUND\nThere is no pipeline order: ${join(folder, 'order.yaml')} does not exist.\n\nfix: Did you mean orders?\n`,
    );
  });

  it.each(['json', 'jsonl'])('are one JSON object on stderr with -o %s', async (format) => {
    const { exitCode, stdout, stderr } = await run(['files', 'order', '--pipelines', folder, '-o', format]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(JSON.parse(stderr)).toEqual({
      error: {
        code: 'PIPELINE_NOT_FOUND',
        message: expect.stringContaining('order.yaml'),
        fix: 'Did you mean orders?',
        exitCode: 2,
      },
    });
  });

  it('an unreachable Temporal is named within seconds, exit code 3', async () => {
    const startedAtMs = Date.now();
    const { exitCode, stdout, stderr } = await run(['schedule', 'list'], { TEMPORAL_ADDRESS: '127.0.0.1:1' });
    expect({ exitCode, stdout }).toEqual({ exitCode: 3, stdout: '' });
    expect(stderr).toContain('error TEMPORAL_UNREACHABLE\nNo Temporal server answers at 127.0.0.1:1');
    expect(Date.now() - startedAtMs).toBeLessThan(15_000);
  });

  it('colours are for those who see them', async () => {
    const args = ['files', 'order', '--pipelines', folder];
    expect((await run(args)).stderr).not.toContain('\x1b');
    expect((await run([...args, '--color', 'always'])).stderr).toContain('\x1b[31merror');
    expect((await run([...args, '--color', 'never'], { FORCE_COLOR: '1' })).stderr).not.toContain('\x1b');
    expect((await run(args, { FORCE_COLOR: '1' })).stderr).toContain('\x1b[31merror');
    expect((await run(args, { NO_COLOR: '1' })).stderr).not.toContain('\x1b');
  });
});

describe('validate', () => {
  it('shows what a pipeline means', async () => {
    const { exitCode, stdout, stderr } = await run(['validate', 'products', '--pipelines', EXAMPLES]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(stdout).toContain('products is valid');
    expect(stdout).toContain('crawl_ts_day = day(crawl_ts)');
    expect(stdout.split('\n').length).toBeLessThan(30);
  });

  it('checks all of the folder, and ends with 2 where one is wrong', async () => {
    const { exitCode, stdout, stderr } = await run(['validate'], { TIDEMARK_PIPELINES: folder });
    expect(exitCode).toBe(2);
    expect(stdout).toContain('orders is valid');
    expect(stdout).not.toContain('wrong');
    expect(stderr).toContain(`${join(folder, 'wrong.yaml')}:3:15  The environment variable TOPIC is not set`);
    expect(stderr).toContain(`${join(folder, 'wrong.yaml')}:5:9  records.mode cannot be 'deadletter'.`);
  });

  it('refuses a second pipeline with the table of another', async () => {
    const other = join(folder, 'other');
    await mkdir(other);
    for (const name of ['again', 'copy']) await writeFile(join(other, `${name}.yaml`), VALID);
    const { exitCode, stdout, stderr } = await run(['validate'], { TIDEMARK_PIPELINES: other });
    expect(exitCode).toBe(2);
    expect(stdout).toContain('again is valid');
    expect(stdout).not.toContain('copy is valid');
    expect(stderr).toContain('The pipelines again and copy have the same table.location: ');
  });

  it('takes paths, and gives problems as data', async () => {
    const { exitCode, stdout, stderr } = await run(['validate', join(folder, 'wrong.yaml'), '-o', 'json']);
    expect({ exitCode, stderr }).toEqual({ exitCode: 2, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject([
      {
        valid: false,
        problems: [
          { line: 3, column: 15 },
          { line: 5, column: 9, option: 'records.mode' },
        ],
      },
    ]);
  });
});

describe('signals and pipes', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s ends with %d', async (signal, exitCode) => {
    // A server that accepts and never answers keeps the command waiting.
    const silent = createServer().listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as { port: number };
    const child = start(['schedule', 'list'], { TEMPORAL_ADDRESS: `127.0.0.1:${port}` });
    const end = ended(child);
    const [socket] = await once(silent, 'connection');
    child.kill(signal);
    expect((await end).exitCode).toBe(exitCode);
    socket.destroy();
    silent.close();
  });

  it('a reader that goes away is no error', async () => {
    const child = start(['--help']);
    child.stdout?.destroy();
    const { stderr } = await ended(child);
    expect(stderr).toBe('');
  });
});
