/**
 * Runs before the scripts of package.json, on whatever Node there is: the sources need Node 24, which comes as a dependency whose
 * install script fetches it, and npm puts it first on the path. Plain JavaScript for old versions.
 */
import { readFileSync } from 'node:fs';

const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
const REQUIRED = manifest.engines.node.match(/\d+/g).map(Number);

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < REQUIRED[0] || (major === REQUIRED[0] && minor < REQUIRED[1])) {
  console.error(
    [
      `Tidemark needs Node ${REQUIRED.join('.')} or newer, and this is ${process.versions.node}.`,
      '',
      'It brings its own with `npm ci`, by the install script of the package `node`. Either npm ci has not run here,',
      'or install scripts are off (`npm config get ignore-scripts`). Then:',
      '',
      '  npm ci --ignore-scripts=false',
      '',
      'or install Node 24 yourself: https://nodejs.org/en/download',
    ].join('\n'),
  );
  process.exit(2);
}
