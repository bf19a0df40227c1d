/**
 * Goal: pyarrow, Polars and delta-rs read our files as they were meant, and trust statistics that deserve it.
 * Method: random tables and a large one, each alone and in a Delta table, read by one Python process. Where there is no
 * such Python this is skipped; hyparquet and DuckDB read the same in `file-writer.test.ts`.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { writeCases } from './cases.ts';

const PYTHON = process.env.TIDEMARK_PYTHON ?? join(homedir(), '.cache/tidemark-py/bin/python');

test.skipIf(!existsSync(PYTHON))(
  'pyarrow, Polars and delta-rs read what was written',
  async () => {
    const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
    const folder = mkdtempSync(join(tmpdir(), 'tidemark-python-'));
    try {
      await writeCases(folder, seed, 16);
      const script = join(import.meta.dirname, 'read_files.py');
      const { stdout, stderr, status } = spawnSync(PYTHON, [script, folder], {
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
  150_000,
);
