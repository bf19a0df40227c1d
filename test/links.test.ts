/**
 * Goal: no link of a page leads nowhere, neither in a clone nor in what npm publishes. Method: the links of
 * every page against the tree, and against the files that `npm pack` would take.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = resolve(import.meta.dirname, '..');

/**
 * Nobody needs these to use Tidemark, so npm does not publish them. Links to them stay relative: npm's page
 * of the README and the repository resolve them, and both know where that is from `repository` in
 * package.json alone.
 */
const REPOSITORY_ONLY = ['CONTRIBUTING.md', 'src/', 'test/', 'bench/', 'findings/', 'docs/proofs/faults/'];

const MANIFEST = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
const PUBLISHED = publishedFiles();
const PAGES = ['.', 'docs', 'findings', 'bench'].flatMap(pagesIn);

test.each(PAGES)('%s links to what exists', (page) => {
  const missing = linksOf(page).filter(
    ({ path, fragment }) => !existsSync(join(ROOT, path)) || !hasHeading(path, fragment),
  );
  expect(missing).toEqual([]);
});

test.each(PUBLISHED.filter((file) => file.endsWith('.md')))(
  '%s, as published, links to what is published',
  (page) => {
    const links = linksOf(page).map(({ path }) => path);
    const astray = links.filter((path) => !isPublished(path) && !isWithin(path, REPOSITORY_ONLY));
    expect(astray).toEqual([]);
  },
);

test('npm knows the repository, which the links of the README to sources are resolved against', () => {
  const [, repository] = /^git\+(https:\/\/github\.com\/.+)\.git$/.exec(MANIFEST.repository.url) ?? [];
  expect(repository).toBeDefined();
  expect(MANIFEST.homepage).toBe(`${repository}#readme`);
  expect(MANIFEST.bugs).toBe(`${repository}/issues`);
  expect(readFileSync(join(ROOT, 'SECURITY.md'), 'utf8')).toContain(
    `<${repository}/security/advisories/new>`,
  );
});

test('neither sources nor the raw data of proofs are published', () => {
  const notMeant = /^(src|test|bench|findings)\/|^docs\/proofs\/.*\.jsonl?$|\/(node_modules|__pycache__)\//;
  expect(PUBLISHED.filter((file) => notMeant.test(file))).toEqual([]);
  for (const path of ['examples/products.yaml', 'docs/pipeline.schema.json', 'LICENSE', 'SECURITY.md'])
    expect(PUBLISHED).toContain(path);
});

function publishedFiles(): string[] {
  const output = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: ROOT,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [{ files }] = JSON.parse(output) as [{ files: { path: string }[] }];
  return files.map(({ path }) => path);
}

/** Of the root the files alone, of other folders all that is in them. */
function pagesIn(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: folder !== '.', encoding: 'utf8' })
    .filter((file) => file.endsWith('.md'))
    .map((file) => join(folder, file));
}

/** Relative ones: `path` from the root, a folder's without a slash at its end. */
function linksOf(page: string): { path: string; fragment: string | undefined }[] {
  const text = readFileSync(join(ROOT, page), 'utf8');
  return [...text.matchAll(/\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]*))?\)/g)].map(([, target, fragment]) => ({
    path: target ? relative(ROOT, resolve(ROOT, dirname(page), target)) : page,
    fragment,
  }));
}

/** As GitHub names headings. */
function hasHeading(page: string, fragment: string | undefined): boolean {
  if (fragment === undefined || !page.endsWith('.md')) return true;
  const headings = readFileSync(join(ROOT, page), 'utf8').matchAll(/^#+ (.+)$/gm);
  const names = [...headings].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  );
  return names.includes(fragment);
}

function isPublished(path: string): boolean {
  return PUBLISHED.some((file) => file === path || file.startsWith(`${path}/`));
}

function isWithin(path: string, places: readonly string[]): boolean {
  return places.some((place) => `${path}/`.startsWith(place) || path === place);
}
