/**
 * Goal: the house stays as docs/architecture.md draws it. Method: read the sources' import lines and the bundle that
 * workflows really run in.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { bundleWorkflowCode } from '@temporalio/worker';
import { describe, expect, it } from 'vitest';
import { FAILURES } from '../src/errors.ts';

const ROOT = resolve(import.meta.dirname, '..');
const SRC = join(ROOT, 'src');

interface Import {
  readonly file: string;
  /** Relative to src, or a package name. */
  readonly target: string;
  readonly isType: boolean;
}

const FILES = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
const IMPORTS: readonly Import[] = FILES.flatMap(importsOf);

/** Pure core: no I/O, no adapter, no package beyond codecs and number formats. */
const PURE = [
  'kafka/offsets.ts',
  'kafka/record-batch.ts',
  'records/',
  'parquet/pages.ts',
  'parquet/levels.ts',
  'parquet/statistics.ts',
  'delta/actions.ts',
  'delta/snapshot.ts',
  'commits/batch.ts',
  'commits/bins.ts',
  'delta/ledger.ts',
  'commits/vacuum.ts',
];
const COMPOSITION = [
  'worker.ts',
  'adapters.ts',
  'duckdb/rewrite-process.ts',
  'cli/',
  'dev/',
  'task-thread.ts',
];
const SINGLE_IMPORTERS: Record<string, readonly string[]> = {
  kafkajs: ['kafka/kafkajs-source.ts', 'dev/'],
  '@dsnp/parquetjs': ['parquet/'],
  hyparquet: ['parquet/'],
  '@duckdb/node-api': ['duckdb/database.ts'],
};

describe('imports point one way', () => {
  it.each(IMPORTS.filter(({ file }) => file.startsWith('workflows/')))(
    '$file imports $target',
    ({ target, isType }) => {
      const own = target.startsWith('workflows/') || target === 'contract.ts';
      const allowed = isType || own || target === '@temporalio/workflow';
      expect(allowed).toBe(true);
    },
  );

  it('pure files import nothing that does I/O', () => {
    const adapters = [
      'storage/local-store.ts',
      'kafka/kafkajs-source.ts',
      'delta/log.ts',
      'duckdb/',
      'activities/',
      'cli/',
    ];
    const offending = IMPORTS.filter(
      ({ file, target, isType }) =>
        within(file, PURE) &&
        !isType &&
        (within(target, adapters) || target.startsWith('node:fs') || target.startsWith('@temporalio')),
    );
    expect(offending).toEqual([]);
  });

  it('activities get their adapters handed in', () => {
    const adapters = [
      'storage/local-store.ts',
      'kafka/kafkajs-source.ts',
      'duckdb/database.ts',
      'pipeline/load.ts',
    ];
    const offending = IMPORTS.filter(
      ({ file, target, isType }) =>
        file.startsWith('activities/') && !within(file, COMPOSITION) && !isType && within(target, adapters),
    );
    expect(offending).toEqual([]);
  });

  it.each(Object.entries(SINGLE_IMPORTERS))('%s has one home', (name, homes) => {
    const importers = IMPORTS.filter(({ target }) => target === name || target.startsWith(`${name}/`));
    expect(importers.length).toBeGreaterThan(0);
    expect(importers.filter(({ file }) => !within(file, homes))).toEqual([]);
  });
});

describe('workflow code', () => {
  it('exports the workflow types and nothing else', async () => {
    const source = readFileSync(join(SRC, 'workflows/index.ts'), 'utf8');
    const names = [...source.matchAll(/export \{ (\w+) \}/g)].map(([, name]) => name);
    expect(names.sort()).toEqual(['compact', 'drain', 'retryDeadLetters', 'vacuum']);
    expect(source).not.toMatch(/export \*/);
  });

  it('bundles without Kafka, Parquet or storage', async () => {
    const { code } = await bundleWorkflowCode({
      workflowsPath: join(SRC, 'workflows/index.ts'),
      logger: { log() {}, trace() {}, debug() {}, info() {}, warn() {}, error() {} },
    });
    for (const stranger of ['kafkajs', 'parquetjs', 'duckdb', 'local-store'])
      expect(code).not.toContain(stranger);
    expect(code.length).toBeLessThan(3_000_000);
  }, 60_000);

  it('keeps drain.ts short enough to be read first', () => {
    const lines = readFileSync(join(SRC, 'workflows/drain.ts'), 'utf8').split('\n');
    expect(lines.length).toBeLessThanOrEqual(80);
  });
});

describe('package', () => {
  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));

  it('pins every dependency exactly', () => {
    for (const version of Object.values({ ...manifest.dependencies, ...manifest.devDependencies })) {
      expect(version).toMatch(/^\d+\.\d+\.\d+(-[\w.]+)?$/);
    }
  });

  it('has at most 15 runtime dependencies, each with its reason in docs/dependencies.md', () => {
    const names = Object.keys(manifest.dependencies);
    const reasons = readFileSync(join(ROOT, 'docs/dependencies.md'), 'utf8');
    expect(names.length).toBeLessThanOrEqual(15);
    for (const name of names) expect(reasons).toContain(`\`${name}\``);
  });

  it('names no download address in the lockfile', () => {
    expect(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')).not.toContain('"resolved": "http');
  });
});

describe('documentation', () => {
  it('lists every code of errors.ts in docs/errors.md, with its exit code and whether it is tried again', () => {
    const page = readFileSync(join(ROOT, 'docs/errors.md'), 'utf8');
    const rows = [...page.matchAll(/^\| `([A-Z_.]+)` \| (\d) \| (again)? ?\| (.+?) \| (.+?) \|$/gm)];
    const listed = rows.map(([, code, exitCode, again]) => [code, Number(exitCode), again !== undefined]);
    const codes = Object.entries(FAILURES).map(([code, one]) => [code, one.exitCode, one.retryable]);
    expect(listed.toSorted()).toEqual(codes.toSorted());
  });

  it('shows drain.ts in the README as it is', () => {
    const shown = readFileSync(join(ROOT, 'README.md'), 'utf8');
    const source = readFileSync(join(SRC, 'workflows/drain.ts'), 'utf8');
    const body = source.slice(source.indexOf('export async function drain'));
    expect(shown).toContain(body.trim());
  });
});

function importsOf(file: string): Import[] {
  const source = readFileSync(join(SRC, file), 'utf8');
  const statements = source.matchAll(
    /^(?:import|export)\s+(type\s)?[^;'"]*?from\s+['"]([^'"]+)['"]|import\(['"]([^'"]+)['"]\)/gm,
  );
  return [...statements].map(([, type, from, dynamic]) => {
    const target = from ?? dynamic ?? '';
    const path = target.startsWith('.') ? relative(SRC, resolve(SRC, dirname(file), target)) : target;
    return { file, target: path, isType: type !== undefined };
  });
}

function within(path: string, places: readonly string[]): boolean {
  return places.some((place) => (place.endsWith('/') ? path.startsWith(place) : path === place));
}
