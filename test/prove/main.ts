/**
 * `npm run prove -- NAME`: one proof at full size, with absolute limits; its output goes to
 * `docs/proofs/NAME.md` with date, machine, versions and command.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { writeReliability } from './reliability.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const PROOFS = join(ROOT, 'test/e2e/proofs');
const names = readdirSync(PROOFS)
  .filter((file) => file.endsWith('.test.ts'))
  .map((file) => file.replace('.test.ts', ''));

const [name] = process.argv.slice(2);
if (name === undefined || !names.includes(name)) {
  console.error(`usage: npm run prove -- NAME, one of: ${names.join(', ')}`);
  process.exit(2);
}

const output = join(mkdtempSync(join(tmpdir(), 'tidemark-proof-')), 'output');
const { status } = spawnSync(
  process.execPath,
  [join(ROOT, 'node_modules/vitest/vitest.mjs'), 'run', '--project', 'e2e', join(PROOFS, `${name}.test.ts`)],
  {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...process.env, TIDEMARK_PROOF: 'full', TIDEMARK_PROOF_OUTPUT: output },
  },
);
const lines = existsSync(output) ? readFileSync(output, 'utf8').trimEnd() : '(no output)';
const gigabytes = Math.round(totalmem() / 2 ** 30);
mkdirSync(join(ROOT, 'docs/proofs'), { recursive: true });
writeFileSync(
  join(ROOT, 'docs/proofs', `${name}.md`),
  `# Proof: ${name}

\`npm run prove -- ${name}\` on ${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}, ${cpus().length} cores, ${gigabytes} GiB: **${status === 0 ? 'passed' : 'FAILED'}**

\`\`\`
${lines}
\`\`\`

What it does and what it demands: [test/e2e/proofs/${name}.test.ts](../../test/e2e/proofs/${name}.test.ts).
`,
);
writeReliability();
process.exit(status ?? 1);
