import { fileURLToPath } from 'node:url';

/** Where a location leads, by how it is written. */
export type Place =
  | {
      readonly kind: 'disk';
      /** Absolute, or relative to whoever has written it. */
      readonly folder: string;
    }
  | { readonly kind: 'refused'; readonly problem: string; readonly fix: string };

/** Where tables will live, other than the local disk, by the scheme of their location. */
export const UNSUPPORTED_SCHEMES: readonly string[] = [
  's3',
  's3a',
  'webhdfs',
  'hdfs',
  'gs',
  'abfss',
  'http',
  'https',
];

/** @param location as `table.location` has it: a path, or a URL */
export function placeOf(location: string): Place {
  const [, scheme] = /^([A-Za-z][A-Za-z0-9+.-]+):\/\//.exec(location) ?? [];
  if (scheme === undefined) return { kind: 'disk', folder: location };
  if (scheme !== 'file') {
    const isPlanned = UNSUPPORTED_SCHEMES.includes(scheme.toLowerCase());
    const why = isPlanned ? 'is not supported yet' : 'is not a place for a table';
    return refused(`table.location: ${scheme}:// ${why}.`, 'Write a folder of the local disk.');
  }
  if (URL.canParse(location) && new URL(location).host === '')
    return { kind: 'disk', folder: fileURLToPath(location) };
  return refused(
    `table.location is not on this machine: ${location}`,
    'Write a path such as /data/products.',
  );
}

function refused(problem: string, fix: string): Place {
  return { kind: 'refused', problem, fix };
}
