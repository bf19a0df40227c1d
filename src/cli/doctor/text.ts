import type { Check, Verdict } from '../../doctor/checks.ts';
import type { Output, Style } from '../../terminal/output.ts';

const STYLES: Readonly<Record<Verdict, Style>> = { ok: 'green', warn: 'yellow', fail: 'red', skip: 'dim' };

/** A line for each check, with the fix of those that have one, then how many there are of each verdict. */
export function describeChecks(checks: readonly Check[], output: Output): string {
  const width = Math.max(...checks.map(({ name }) => name.length));
  const lines = checks.map(({ name, verdict, text, fix }) => {
    const indent = ' '.repeat(6 + width + 2);
    const said = `${output.style(STYLES[verdict], verdict.padEnd(4))}  ${name.padEnd(width)}  ${text.replaceAll('\n', `\n${indent}`)}`;
    return fix === undefined ? said : `${said}\n${indent}fix: ${fix.replaceAll('\n', `\n${indent}     `)}`;
  });
  const counts = (['fail', 'warn', 'skip', 'ok'] as const).flatMap((verdict) => {
    const count = checks.filter((check) => check.verdict === verdict).length;
    return count === 0 ? [] : [`${count} ${verdict}`];
  });
  return [...lines, '', counts.join(', ')].join('\n');
}
