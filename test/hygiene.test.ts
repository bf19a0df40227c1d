/**
 * Goal: the house stays as docs/architecture.md draws it. Method: read the sources' import lines and the
 * bundle that workflows really run in.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { bundleWorkflowCode } from '@temporalio/worker';
import { describe, expect, it } from 'vitest';
import { FAILURES } from '../src/errors.ts';

const ROOT = resolve(import.meta.dirname, '..');
const SRC = join(ROOT, 'src');

/**
 * The house, lowest floor first. A file imports from its own floor and from those below it; types count too.
 */
const FLOORS: readonly (readonly string[])[] = [
  [
    'build.ts',
    'edit-distance.ts',
    'entry.ts',
    'environment.ts',
    'errors.ts',
    'format.ts',
    'lanes.ts',
    'lean-malloc.ts',
    'meter.ts',
    'release-buffer.ts',
    'secret.ts',
    'units.ts',
  ],
  ['contract.ts'],
  ['storage/'],
  ['kafka/'],
  ['records/'],
  ['parquet/'],
  ['delta/'],
  ['commits/'],
  ['duckdb/'],
  ['pipeline/'],
  ['runs/'],
  ['letters/'],
  ['tasks/'],
  ['activities/'],
  ['workflows/'],
  ['temporal/', 'client.ts', 'receipt-for.ts', 'run-failure.ts'],
  ['verify/'],
  ['trace/'],
  ['repair/'],
  ['inspect/'],
  ['doctor/'],
  ['init/'],
  ['adapters.ts', 'task-thread.ts', 'bundle-workflows.ts', 'worker-log.ts', 'worker.ts'],
  ['dev/'],
  ['terminal/'],
  ['cli/'],
];

/** They decide and compute: whatever they reach while they run does no I/O. */
const PURE = [
  'contract.ts',
  'units.ts',
  'kafka/offsets.ts',
  'kafka/record-batch.ts',
  'records/',
  'parquet/pages.ts',
  'parquet/levels.ts',
  'parquet/statistics.ts',
  'delta/actions.ts',
  'delta/snapshot.ts',
  'delta/kinds.ts',
  'delta/version.ts',
  'delta/ledger.ts',
  'commits/batch.ts',
  'commits/batch-record.ts',
  'commits/bins.ts',
  'commits/compaction.ts',
  'commits/data-files.ts',
  'commits/letters.ts',
  'commits/pipeline-state.ts',
  'commits/publication.ts',
  'commits/refusal.ts',
  'commits/repair.ts',
  'commits/retention.ts',
  'commits/retry.ts',
  'commits/rules.ts',
  'commits/schema-fit.ts',
  'commits/table-actions.ts',
  'commits/vacuum.ts',
  'repair/answers.ts',
  'repair/diagnosis.ts',
];
/** Packages and modules of Node that do no I/O: bytes, hashes, codecs. */
const NO_IO = ['node:buffer', 'node:crypto', 'node:url', 'node:zlib', 'lz4-napi', 'snappy'];

/** The engine gets these handed in, so that tests wrap them: it imports none. */
const ENGINE = ['delta/', 'commits/', 'tasks/', 'activities/', 'workflows/'];
const ADAPTERS = [
  'storage/local-store.ts',
  'kafka/kafkajs-source.ts',
  'kafka/connect-source.ts',
  'duckdb/database.ts',
  'pipeline/load.ts',
  'adapters.ts',
];

/** Where each package is imported, and nowhere else. */
const HOMES: Readonly<Record<string, readonly string[]>> = {
  kafkajs: ['kafka/kafkajs-source.ts', 'dev/'],
  'lz4-napi': ['kafka/codecs.ts', 'dev/'],
  snappy: ['kafka/codecs.ts', 'parquet/compression.ts', 'dev/'],
  '@dsnp/parquetjs': ['parquet/'],
  hyparquet: ['parquet/'],
  '@duckdb/node-api': ['duckdb/database.ts'],
  yaml: ['pipeline/document.ts'],
  zod: ['pipeline/'],
  '@temporalio/activity': ['activities/'],
  '@temporalio/workflow': ['workflows/'],
  '@temporalio/worker': ['worker.ts', 'worker-log.ts', 'bundle-workflows.ts'],
  '@temporalio/envconfig': ['temporal/connection.ts'],
  '@temporalio/client': [
    'client.ts',
    'run-failure.ts',
    'temporal/',
    'inspect/running.ts',
    'doctor/temporal.ts',
    'dev/temporal-server.ts',
    'terminal/',
  ],
  '@temporalio/common': [
    'activities/failure-mapping.ts',
    'run-failure.ts',
    'worker-log.ts',
    'terminal/run-progress.ts',
  ],
  commander: ['terminal/context.ts', 'cli/'],
};

/** Programs of processes and threads: no import names them, so no compiler misses one that was moved. */
const ENTRY = /entryFile\(import\.meta\.url, '([^']+)'\)/g;

const FILES_MAX = 25;
const COLUMNS_MAX = 110;

/** A function fits on a screen. */
const FUNCTION_LINES_MAX = 60;
/** But here, where a call for each byte would cost more than a long function. */
const HOT_PATH = [
  'kafka/record-batch.ts',
  'kafka/codecs.ts',
  'records/json-decoder.ts',
  'records/json-scanner.ts',
  'records/columns.ts',
  'records/timestamp-pattern.ts',
  'parquet/pages.ts',
  'parquet/dictionary.ts',
  'parquet/levels.ts',
  'parquet/bounds.ts',
];

interface Import {
  readonly file: string;
  /** Relative to src, or a package name. */
  readonly target: string;
  readonly isType: boolean;
}

const FILES = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
const IMPORTS: readonly Import[] = FILES.flatMap(importsOf);

describe('the house', () => {
  it('has a floor for every file', () => {
    expect(FILES.filter((file) => FLOORS.filter((rooms) => within(file, rooms)).length !== 1)).toEqual([]);
    for (const room of FLOORS.flat())
      expect(
        FILES.some((file) => within(file, [room])),
        room,
      ).toBe(true);
  });

  it('has imports that point down', () => {
    const climbing = IMPORTS.filter(({ file, target }) => isOurs(target) && floorOf(target) > floorOf(file));
    expect(climbing).toEqual([]);
  });

  it('has no circle of files', () => {
    const imports = byFile(IMPORTS);
    expect(FILES.filter((file) => reachedFrom(file, imports).has(file))).toEqual([]);
  });

  it('has no folder that is too full to be looked through', () => {
    const folders = ['src', 'test'].flatMap((root) =>
      readdirSync(join(ROOT, root), { recursive: true, withFileTypes: true }),
    );
    const files = Map.groupBy(
      folders.filter((entry) => entry.isFile()),
      ({ parentPath }) => relative(ROOT, parentPath),
    );
    expect([...files].filter(([, inside]) => inside.length > FILES_MAX).map(([folder]) => folder)).toEqual(
      [],
    );
  });

  it('stands in docs/architecture.md, floor by floor, the highest first', () => {
    const page = readFileSync(join(ROOT, 'docs/architecture.md'), 'utf8');
    const rows = [...page.matchAll(/^\| \[([\w-]+)\]\(\.\.\/src\/\1\) \|/gm)].map(([, name]) => `${name}/`);
    expect(rows).toEqual(
      FLOORS.flat()
        .filter((room) => room.endsWith('/'))
        .reverse(),
    );
  });
});

describe('imports', () => {
  it.each(IMPORTS.filter(({ file }) => file.startsWith('workflows/')))(
    '$file imports $target',
    ({ target, isType }) => {
      const own = target.startsWith('workflows/') || target === 'contract.ts';
      const allowed = isType || own || target === '@temporalio/workflow';
      expect(allowed).toBe(true);
    },
  );

  it.each(PURE)('%s reaches nothing that does I/O', (place) => {
    const files = FILES.filter((file) => within(file, [place]));
    expect(files).not.toEqual([]);
    // A commit names the version that its package's manifest has, read once.
    const running = byFile(IMPORTS.filter(({ file, isType }) => !isType && file !== 'build.ts'));
    const reached = files.flatMap((file) => [...reachedFrom(file, running)]);
    expect(reached.filter((target) => !isOurs(target) && !NO_IO.includes(target))).toEqual([]);
  });

  it('which store a location has is asked in one place', () => {
    const importers = IMPORTS.filter(({ target }) => target === 'storage/local-store.ts');
    expect(importers.map(({ file }) => file).sort()).toEqual(['adapters.ts', 'storage/stores.ts']);
  });

  it('activities, tasks and the log get their adapters handed in', () => {
    for (const adapter of ADAPTERS) expect(FILES).toContain(adapter);
    const offending = IMPORTS.filter(
      ({ file, target, isType }) => within(file, ENGINE) && !isType && within(target, ADAPTERS),
    );
    expect(offending).toEqual([]);
  });

  it.each(Object.entries(HOMES))('%s has its homes', (name, homes) => {
    const importers = IMPORTS.filter(({ target }) => target === name || target.startsWith(`${name}/`));
    expect(importers.filter(({ file }) => !within(file, homes))).toEqual([]);
    expect(homes.filter((home) => !importers.some(({ file }) => within(file, [home])))).toEqual([]);
  });

  it('name no package that has no home', () => {
    const packages = IMPORTS.map(({ target }) => target).filter(
      (target) => !isOurs(target) && !target.startsWith('node:'),
    );
    const nameOf = (target: string) => /^(?:@[^/]+\/)?[^/]+/.exec(target)?.[0] ?? '';
    expect([...new Set(packages.map(nameOf))].sort()).toEqual(Object.keys(HOMES).sort());
  });
});

describe('files named in the code', () => {
  const named = FILES.flatMap((file) =>
    [...readFileSync(join(SRC, file), 'utf8').matchAll(ENTRY)].map(([, entry = '']) => ({ file, entry })),
  );

  it.each(named)('$file starts $entry', ({ file, entry }) => {
    expect(existsSync(join(SRC, dirname(file), `${entry}.ts`))).toBe(true);
  });

  it('are found', () => {
    expect(named).toContainEqual({ file: 'cli/demo/story.ts', entry: '../main' });
  });
});

describe('functions', () => {
  it('fit on a screen', () => {
    const long = FILES.filter((file) => !HOT_PATH.includes(file)).flatMap(longFunctionsOf);
    expect(long).toEqual([]);
  });

  it('are measured', () => {
    expect(HOT_PATH.flatMap(longFunctionsOf)).not.toEqual([]);
    const source = `export async function several(
  one: string,
): Promise<void> {
  work();

  await more(one);
}

const arrow = (one: number) =>
  one;

class Some {
  method(): void {
    work();
  }
}
`;
    expect(functionsOf(source).filter(({ lines }) => lines > 1)).toEqual([
      { line: 1, lines: 7, head: 'export async function several(' },
      { line: 9, lines: 2, head: 'const arrow = (one: number) =>' },
      { line: 13, lines: 3, head: 'method(): void {' },
    ]);
  });
});

describe('comments', () => {
  it('are as narrow as code', () => {
    const comments = FILES.flatMap((file) =>
      readFileSync(join(SRC, file), 'utf8')
        .split('\n')
        .map((text, index) => ({ place: `${file}:${index + 1}`, text }))
        .filter(({ text }) => /^\s*(?:\/\*|\*|\/\/)/.test(text)),
    );
    expect(comments).not.toEqual([]);
    expect(comments.filter(({ text }) => text.length > COLUMNS_MAX).map(({ place }) => place)).toEqual([]);
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
    expect(names.sort()).toEqual(Object.keys(HOMES).sort());
    for (const name of names) expect(reasons).toContain(`\`${name}\``);
  });

  it('names no download address in the lockfile', () => {
    expect(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')).not.toContain('"resolved": "http');
  });
});

describe('documentation', () => {
  const pages = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.md'))
    .map((file) => `docs/${file}`);

  it.each(['README.md', ...pages])('%s links to files that exist', (page) => {
    const text = readFileSync(join(ROOT, page), 'utf8');
    const links = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)(#[^)]*)?\)/g)].map(([, link]) => link ?? '');
    const missing = links.filter((link) => !existsFrom(page, link));
    expect(missing).toEqual([]);
  });

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
    /^(?:import|export)\s+(type\s)?[^;'"]*?from\s+['"]([^'"]+)['"]|(?:import|require)\(['"]([^'"]+)['"]\)|^import\s+['"]([^'"]+)['"]/gm,
  );
  return [...statements].map(([, type, from, dynamic, alone]) => {
    const target = from ?? dynamic ?? alone ?? '';
    const path = target.startsWith('.') ? relative(SRC, resolve(SRC, dirname(file), target)) : target;
    return { file, target: path, isType: type !== undefined };
  });
}

type Imports = ReadonlyMap<string, readonly Import[]>;

function byFile(imports: readonly Import[]): Imports {
  return Map.groupBy(imports, ({ file }) => file);
}

function isOurs(target: string): boolean {
  return !target.startsWith('node:') && target.endsWith('.ts');
}

function floorOf(file: string): number {
  return FLOORS.findIndex((rooms) => within(file, rooms));
}

/** All that a file imports, directly or through others; itself only where the imports lead back to it. */
function reachedFrom(file: string, imports: Imports): Set<string> {
  const reached = new Set<string>();
  const open = [file];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    const found = (imports.get(at) ?? [])
      .map(({ target }) => target)
      .filter((target) => !reached.has(target));
    for (const target of found) reached.add(target);
    open.push(...found);
  }
  return reached;
}

interface MeasuredFunction {
  readonly line: number;
  readonly lines: number;
  readonly head: string;
}

function longFunctionsOf(file: string): (MeasuredFunction & { readonly file: string })[] {
  const functions = functionsOf(readFileSync(join(SRC, file), 'utf8'));
  return functions.filter(({ lines }) => lines > FUNCTION_LINES_MAX).map((one) => ({ file, ...one }));
}

const FUNCTION_HEAD =
  /^( *)(?:(?:export|default|async|private|public|protected|static|override|get|set) )*(?:function\b|constructor\(|\*?#?\w+(?:<.*>)?\(|(?:const|let) \w+.* = (?:async )?(?:<.*>)?\(|[\w#]+: (?:async )?\()/;
const STATEMENT = /^ *(?:if|for|while|switch|return|catch|super|await|throw)\b/;

/**
 * Functions, methods and named arrow functions as biome formats them: what is deeper, or closes what the head
 * opens, is theirs.
 */
function functionsOf(source: string): MeasuredFunction[] {
  const all = source.split('\n');
  return all.flatMap((head, at) => {
    const indent = FUNCTION_HEAD.exec(head)?.[1];
    if (indent === undefined || STATEMENT.test(head)) return [];
    const isPart = new RegExp(`^$|^${indent}[ })\\]]`);
    const rest = all.slice(at + 1);
    const after = rest.findIndex((line) => !isPart.test(line));
    const text = [head, ...rest.slice(0, after < 0 ? undefined : after)].join('\n').trimEnd();
    return [{ line: at + 1, lines: text.split('\n').length, head: head.trim() }];
  });
}

function within(path: string, places: readonly string[]): boolean {
  return places.some((place) => (place.endsWith('/') ? path.startsWith(place) : path === place));
}

function existsFrom(page: string, link: string): boolean {
  const path = resolve(ROOT, dirname(page), link);
  try {
    readFileSync(path);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EISDIR';
  }
}
