/**
 * Promise: the README alone leads from nothing to the first queried row of a topic of one's own.
 *
 * Method: the commands are taken out of the README, first block of "Use it", and run as they stand there, in
 * a fresh folder. Small: the folder's `npm run tidemark` is this source tree, and `dev` finds the test's
 * servers. Full size: a copy of the last commit, `npm ci` and servers that `dev` starts itself; then a limit
 * of 10 minutes for all of it holds.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, inject, it, onTestFinished } from 'vitest';
import { crawlRecords } from '../../../src/dev/crawler.ts';
import {
  createTopic,
  produce,
  temporalNamespace,
  temporaryFolder,
  waitUntil,
  withAdmin,
} from '../setup/harness.ts';
import { isFullSize, report, sized } from './proof.ts';

const ROOT = resolve(import.meta.dirname, '../../..');
const RECORDS = sized(500, 100_000);
const MINUTES_MAX = 10;
/** Commands that go on, and what they say when they are ready. */
const LASTING: Readonly<Record<string, string>> = { dev: 'Ctrl-C stops', worker: 'Worker ready' };

it('leads to the first queried row', { timeout: 900_000 }, async () => {
  const startedAtMs = Date.now();
  const folder = await freshFolder();
  const commands = commandsOf(readFileSync(join(ROOT, 'README.md'), 'utf8'));
  expect(commands.length).toBeGreaterThan(4);
  let environment = isFullSize ? {} : serversOfTheTest();
  let output = '';
  for (const command of commands) {
    const beganMs = Date.now();
    const verb = /tidemark -- (\S+)/.exec(command)?.[1] ?? '';
    // Between the servers and the pipeline the user's own records come in.
    if (verb === 'init')
      await fill(/--topic (\S+)/.exec(command)?.[1] ?? '', environment.KAFKA_BROKERS ?? '');
    const ready = LASTING[verb];
    output =
      ready === undefined
        ? await run(command, folder, environment)
        : await begin(command, ready, folder, environment);
    if (verb === 'dev') environment = { ...environment, ...exportsOf(output) };
    report(`${command}: ${((Date.now() - beganMs) / 1000).toFixed(1)} s`);
  }
  const minutes = (Date.now() - startedAtMs) / 60_000;
  report(
    `${commands.length + (isFullSize ? 1 : 0)} commands, ${minutes.toFixed(1)} minutes, to the answer: ${output.trim().split('\n').at(-1)?.trim()}`,
  );
  expect(output.trim().split('\n').at(-1)?.trim()).toBe(String(RECORDS));
  if (isFullSize) expect(minutes).toBeLessThan(MINUTES_MAX);
});

/** The lines of the first block of "Use it", without their comments. */
function commandsOf(readme: string): string[] {
  const section = readme.slice(readme.indexOf('\n## Use it\n'));
  const block = /\n```\n([^`]+)```/.exec(section)?.[1] ?? '';
  return block
    .split('\n')
    .map((line) => line.replace(/ +#.*$/, '').trim())
    .filter((line) => line !== '');
}

async function freshFolder(): Promise<string> {
  const folder = join(await temporaryFolder(), 'tidemark');
  mkdirSync(folder);
  if (!isFullSize) {
    const scripts = { tidemark: `${process.execPath} ${join(ROOT, 'src/cli/main.ts')}` };
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'fresh', scripts }));
    return folder;
  }
  const archive = execFileSync('git', ['archive', 'HEAD'], { cwd: ROOT, maxBuffer: 2 ** 30 });
  execFileSync('tar', ['-x', '-C', folder], { input: archive });
  const beganMs = Date.now();
  await run('npm ci', folder, {});
  report(`npm ci: ${((Date.now() - beganMs) / 1000).toFixed(1)} s`);
  return folder;
}

function serversOfTheTest(): Record<string, string> {
  return {
    KAFKA_BROKERS: inject('kafkaBrokers'),
    TEMPORAL_ADDRESS: inject('temporalAddress'),
    TEMPORAL_NAMESPACE: temporalNamespace(),
  };
}

/** `export NAME=value`, as `dev` prints them. */
function exportsOf(output: string): Record<string, string> {
  return Object.fromEntries(
    [...output.matchAll(/^export (\w+)=(\S+)$/gm)].map(([, name = '', value = '']) => [name, value]),
  );
}

async function fill(topic: string, brokers: string): Promise<void> {
  const topics = await withAdmin(brokers, (admin) => admin.listTopics());
  if (topics.includes(topic)) await withAdmin(brokers, (admin) => admin.deleteTopics({ topics: [topic] }));
  await waitUntil(async () => !(await withAdmin(brokers, (admin) => admin.listTopics())).includes(topic));
  await createTopic(brokers, { name: topic, partitions: 4 });
  const crawl = { kind: 'full', runs: 5 } as const;
  const records = crawlRecords({ topic, partitions: 4, records: RECORDS, crawl, codec: 'none', seed: 1 });
  await produce(brokers, topic, [...records], { batchSize: 1_000 });
}

async function run(command: string, folder: string, env: Readonly<Record<string, string>>): Promise<string> {
  const { child, output, data } = start(command, folder, env);
  const [exitCode] = await once(child, 'close');
  if (exitCode !== 0) throw new Error(`${command} ended with ${exitCode}:\n${output()}`);
  return data();
}

/** Starts a command that goes on until the test is over. */
async function begin(
  command: string,
  ready: string,
  folder: string,
  env: Readonly<Record<string, string>>,
): Promise<string> {
  const { child, output } = start(command, folder, env);
  const ended = once(child, 'close');
  onTestFinished(async () => {
    if (child.exitCode === null && child.pid !== undefined) process.kill(-child.pid, 'SIGINT');
    await ended;
  });
  await waitUntil(() => output().includes(ready) || child.exitCode !== null, 600_000);
  if (!output().includes(ready)) throw new Error(`${command} ended with ${child.exitCode}:\n${output()}`);
  return output();
}

/** In a process group of its own, as at a terminal: the signal that ends it goes to all of it. */
function start(
  command: string,
  cwd: string,
  env: Readonly<Record<string, string>>,
): { child: ChildProcess; output: () => string; data: () => string } {
  const { PATH = '', HOME = '' } = process.env;
  const child = spawn('bash', ['-c', command], {
    cwd,
    env: { PATH, HOME, ...env },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const texts = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream].setEncoding('utf8').on('data', (text: string) => {
      texts[stream] += text;
    });
  return { child, output: () => texts.stdout + texts.stderr, data: () => texts.stdout };
}
