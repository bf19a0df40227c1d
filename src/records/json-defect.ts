/**
 * Why a record, or one value of it, cannot be stored as it is. Codes are stable.
 *
 * The first group is about the text: it is not a JSON object as RFC 8259 has it, or beyond a limit. The second is
 * about one value that is well-formed JSON but does not fit its column.
 */
export const DEFECT_REASONS = {
  emptyRecord: 'the record is empty',
  byteOrderMark: 'the record begins with a byte order mark',
  notAnObject: 'the record is not a JSON object',
  syntax: 'this is not JSON',
  unexpectedEnd: 'the record ends too early',
  trailingBytes: 'something follows the JSON object',
  invalidUtf8: 'this is not UTF-8',
  controlCharacter: 'a string has a control character that is not escaped',
  tooDeep: 'objects and lists are nested too deep',
  tooLarge: 'the record has too many bytes',
  duplicateField: 'the field occurs twice',

  nullNotAllowed: 'null is not allowed here',
  missing: 'the field is required',
  wrongType: 'the value has another type than its column',
  notAnInteger: 'a number with a fraction or an exponent is not an integer',
  outOfRange: "the value is outside its column's range",
  invalidDate: 'this is not a date as YYYY-MM-DD',
  invalidTimestamp: 'this is not an ISO 8601 timestamp',
  tooPrecise: 'the timestamp is more precise than a microsecond',
  loneSurrogate: 'half a surrogate pair is not text',
} as const;

export type DefectReason = keyof typeof DEFECT_REASONS;

export interface Defect {
  readonly reason: DefectReason;
  /** `seller.since`, `tags[2]`; names that are not plain words in backquotes; empty for the record itself. */
  readonly path: string;
  /** From the record's first byte. */
  readonly byteOffset: number;
  /** One line for people: place and reason. */
  readonly message: string;
}

/**
 * @param record the record from its first byte on, well-formed up to `byteOffset`
 * @param field a field of the object around `byteOffset` that the defect is about (a missing one has no place)
 */
export function describeDefect(
  record: Uint8Array,
  reason: DefectReason,
  byteOffset: number,
  field: string | undefined,
): Defect {
  const path = pathTo(record, byteOffset, field);
  const place = path === '' ? `byte ${byteOffset}` : `${path}, byte ${byteOffset}`;
  return { reason, path, byteOffset, message: `${DEFECT_REASONS[reason]} (${place})` };
}

interface Container {
  readonly isArray: boolean;
  index: number;
  key: string | undefined;
}

/** Found by walking the text again, so that the decoder need not keep a path for every value of every good record. */
function pathTo(record: Uint8Array, byteOffset: number, field: string | undefined): string {
  const containers: Container[] = [];
  for (let at = 0; at < byteOffset; at++) {
    const innermost = containers.at(-1);
    switch (record[at]) {
      case 0x7b:
      case 0x5b:
        containers.push({ isArray: record[at] === 0x5b, index: 0, key: undefined });
        break;
      case 0x7d:
      case 0x5d:
        containers.pop();
        break;
      case 0x2c:
        if (innermost) {
          innermost.index++;
          innermost.key = undefined;
        }
        break;
      case 0x22: {
        const end = endOfString(record, at, byteOffset);
        const isKey = innermost !== undefined && !innermost.isArray && innermost.key === undefined;
        if (isKey) innermost.key = end === undefined ? undefined : parseKey(record, at, end);
        at = (end ?? byteOffset) - 1;
      }
    }
  }
  const innermost = containers.at(-1);
  if (innermost && field !== undefined) innermost.key = undefined;
  return formatPath(containers, field);
}

function endOfString(record: Uint8Array, start: number, limit: number): number | undefined {
  for (let at = start + 1; at < limit; at++) {
    if (record[at] === 0x5c) at++;
    else if (record[at] === 0x22) return at + 1;
  }
  return undefined;
}

/** `undefined` where the defect lies in the key itself. */
function parseKey(record: Uint8Array, start: number, end: number): string | undefined {
  try {
    return String(JSON.parse(Buffer.from(record.subarray(start, end)).toString('utf8')));
  } catch {
    return undefined;
  }
}

const MAX_NAME = 100;

function formatPath(containers: readonly Container[], field: string | undefined): string {
  let path = '';
  for (const { isArray, index, key } of containers) {
    if (isArray) path += `[${index}]`;
    else if (key !== undefined) path = appendName(path, key);
  }
  return field === undefined ? path : appendName(path, field);
}

function appendName(path: string, name: string): string {
  const short = name.length > MAX_NAME ? `${name.slice(0, MAX_NAME)}…` : name;
  const quoted = /^[A-Za-z_][A-Za-z0-9_]*$/.test(short) ? short : `\`${short.replaceAll('`', '``')}\``;
  return path === '' ? quoted : `${path}.${quoted}`;
}
