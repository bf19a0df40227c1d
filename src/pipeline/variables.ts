import type { Environment } from '../environment.ts';

/** A value from the environment in a text: the whole text after replacement, and what was wrong with it. */
export interface Interpolated {
  readonly text: string;
  /** Names without a value and without a default. */
  readonly missing: readonly string[];
  /** Places such as `${A B}` that are no variable. */
  readonly malformed: readonly string[];
}

/**
 * Replaces `${VAR}` and `${VAR:-default}` (the default also where VAR is empty, as in a shell) in one scalar
 * of the file; `$${` stands for `${` itself. It works on scalars that are already parsed, so a value can
 * never become a key, a list or a second option. Values are not searched again.
 */
export function interpolate(text: string, environment: Environment): Interpolated {
  const missing: string[] = [];
  const malformed: string[] = [];
  const replaced = text.replace(/\$\$\{|\$\{([^}]*)(\}?)/g, (found, content: string, close: string) => {
    if (found === '$${') return '${';
    const variable = /^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/s.exec(content);
    if (!variable || close === '' || content.includes('${')) {
      malformed.push(found);
      return found;
    }
    const [, name = '', otherwise] = variable;
    const value = environment[name];
    if (otherwise !== undefined) return value || otherwise;
    if (value === undefined) missing.push(name);
    return value ?? '';
  });
  return { text: replaced, missing, malformed };
}
