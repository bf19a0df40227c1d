import { daysOf, Misfit, offsetOf, picosecondsOf, SECOND } from './json-model.ts';

/** Patterns, each with a regular expression written by hand that finds the same fields. */
export const PATTERNS: Readonly<Record<string, RegExp>> = {
  'yyyy-MM-dd HH:mm:ss': /^(?<y>\d{4})-(?<M>\d\d)-(?<d>\d\d) (?<H>\d\d):(?<m>\d\d):(?<s>\d\d)$/,
  'yyyy-MM-dd HH:mm:ss[.SSSSSS]':
    /^(?<y>\d{4})-(?<M>\d\d)-(?<d>\d\d) (?<H>\d\d):(?<m>\d\d):(?<s>\d\d)(?:\.(?<f>\d{1,6}))?$/,
  "yyyy-MM-dd'T'HH:mm[:ss[.SSSSSSSSS]][XXX]":
    /^(?<y>\d{4})-(?<M>\d\d)-(?<d>\d\d)T(?<H>\d\d):(?<m>\d\d)(?::(?<s>\d\d)(?:\.(?<f>\d{1,9}))?)?(?<z>Z|[+-]\d\d:\d\d)?$/,
  'dd/MM/yyyy HH:mm': /^(?<d>\d\d)\/(?<M>\d\d)\/(?<y>\d{4}) (?<H>\d\d):(?<m>\d\d)$/,
  'M/d/yy h:mm a': /^(?<M>\d\d?)\/(?<d>\d\d?)\/(?<yy>\d\d) (?<h>\d\d?):(?<m>\d\d) (?<a>AM|PM)$/i,
  'dd/MMM/yyyy:HH:mm:ss Z':
    /^(?<d>\d\d)\/(?<mon>[a-z]{3})\/(?<y>\d{4}):(?<H>\d\d):(?<m>\d\d):(?<s>\d\d) (?<z>[+-]\d{4})$/i,
  'd MMMM uuuu[ H]X': /^(?<d>\d\d?) (?<month>[a-z]+) (?<y>\d{4})(?: (?<H>\d\d?))?(?<z>Z|[+-]\d\d(?:\d\d)?)$/i,
  yyyyMMddHHmmssSSS: /^(?<y>\d{4})(?<M>\d\d)(?<d>\d\d)(?<H>\d\d)(?<m>\d\d)(?<s>\d\d)(?<f>\d{1,3})$/,
  "''yyyy'年'MM'月'dd": /^'(?<y>\d{4})年(?<M>\d\d)月(?<d>\d\d)$/,
};

const MONTHS = 'January February March April May June July August September October November December'.split(
  ' ',
);

/** Picoseconds since 1970 of a text in one of `PATTERNS`. */
export function readPattern(pattern: string, text: string): bigint {
  const groups = PATTERNS[pattern]?.exec(text)?.groups;
  if (groups === undefined) throw new Misfit();
  const year = groups.y ?? `20${groups.yy}`;
  const month =
    groups.M ?? monthOf(groups.month, (name) => name) ?? monthOf(groups.mon, (name) => name.slice(0, 3));
  const two = (number: string | undefined): string => (number ?? '').padStart(2, '0');
  const days = daysOf(`${year}-${two(month)}-${two(groups.d)}`);
  const seconds = hourOf(groups) * 3600n + below(60, groups.m) * 60n + below(60, groups.s);
  return (days * 86_400n + seconds) * SECOND + picosecondsOf(groups.f ?? '') - offsetOf(groups.z ?? 'Z');
}

function monthOf(given: string | undefined, spelling: (name: string) => string): string | undefined {
  if (given === undefined) return undefined;
  const index = MONTHS.findIndex((name) => spelling(name).toLowerCase() === given.toLowerCase());
  if (index < 0) throw new Misfit();
  return String(index + 1);
}

function hourOf({ H, h, a }: Readonly<Record<string, string | undefined>>): bigint {
  if (h === undefined) return below(24, H);
  const hour = below(13, h);
  if (hour === 0n) throw new Misfit();
  return (hour % 12n) + (a?.toUpperCase() === 'PM' ? 12n : 0n);
}

function below(bound: number, digits = '0'): bigint {
  if (Number(digits) >= bound) throw new Misfit();
  return BigInt(digits);
}
