/**
 * Goal: pyarrow, Polars and delta-rs read our files as they were meant, and trust statistics that deserve it.
 * Method: random tables and a large one, each alone and in a Delta table, read by one Python process. Where
 * they are not to be had this is skipped; hyparquet and DuckDB read the same in `file-writer.test.ts`.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { INSTALL_TIMEOUT_MS, readersEnvironment } from '../readers/environment.ts';
import { writeCases } from './cases.ts';

test(
  'pyarrow, Polars and delta-rs read what was written',
  async ({ skip }) => {
    const environment = await readersEnvironment();
    if ('missing' in environment) return skip(environment.missing);
    const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
    const folder = mkdtempSync(join(tmpdir(), 'tidemark-python-'));
    try {
      await writeCases(folder, seed, 16);
      const script = join(import.meta.dirname, 'read_files.py');
      const { stdout, stderr, status } = spawnSync(environment.python, [script, folder], {
        encoding: 'utf8',
        timeout: 120_000,
      });
      expect(stdout, `seed ${seed}\n${stderr}`).toBe('');
      expect(status, stderr).toBe(0);
      expect(stderr).toContain('17 cases read');
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
  INSTALL_TIMEOUT_MS,
);
