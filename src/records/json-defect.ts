import { PathWalker } from './json-path.ts';

/**
 * Why a record, or one value of it, cannot be stored as it is. Codes are stable.
 *
 * The first group is about the text: it is not a JSON object as RFC 8259 has it, or beyond a limit. The
 * second is about one value that is well-formed JSON but does not fit its column.
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
  invalidTimestamp: "this is not a timestamp in the column's format",
  invalidBase64: 'this is not base64 with padding (RFC 4648, section 4)',
  tooPrecise: 'the value is more precise than its column',
  loneSurrogate: 'half a surrogate pair is not text',
} as const;

export type DefectReason = keyof typeof DEFECT_REASONS;

export interface Defect {
  readonly reason: DefectReason;
  /**
   * `seller.since`, `tags[2]`, of a MAP the key like a field; names that are not plain words in backquotes;
   * empty for the record itself.
   */
  readonly path: string;
  /** From the record's first byte. */
  readonly byteOffset: number;
  /** One line for people: place and reason. */
  readonly message: string;
}

/** UTF-16 units that are shown of a name and of a whole path. */
const MAX_NAME = 100;
const MAX_PATH = 1000;

/**
 * @param record the record from its first byte on, well-formed up to `byteOffset`
 * @param field a field of the object around `byteOffset` that the defect is about (a missing one has no
 *   place)
 */
export function describeDefect(
  record: Uint8Array,
  reason: DefectReason,
  byteOffset: number,
  field: string | undefined,
): Defect {
  // The text is walked again, so that the decoder need not keep a path for every value of every good record.
  const walker = new PathWalker(record, 0);
  walker.advanceTo(byteOffset);
  const path = shortened(walker.path(field, MAX_NAME));
  const place = path === '' ? `byte ${byteOffset}` : `${path}, byte ${byteOffset}`;
  return { reason, path, byteOffset, message: `${DEFECT_REASONS[reason]} (${place})` };
}

function shortened(path: string): string {
  if (path.length <= MAX_PATH) return path;
  return `${path.slice(0, MAX_PATH / 2)}…${path.slice(-MAX_PATH / 2)}`;
}
