import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * JSONTestSuite by Nicolas Seriot (github.com/nst/JSONTestSuite, `test_parsing`, commit
 * 1ef36fa01286573e846ac449e8683f8833c5b26a, MIT licence), byte for byte: `files.json` has them in base64, two
 * long ones as what they repeat.
 */
export interface SuiteCase {
  /** `y_...` must be accepted, `n_...` rejected, `i_...` is as the parser decides. */
  readonly name: string;
  readonly bytes: Buffer;
  /** Whether Tidemark takes it for JSON, as the value of a field that is passed over. */
  readonly isJson: boolean;
  /** Of `i_...`: why. */
  readonly why: string | undefined;
  /** Of `i_...` that are JSON: a column for the value, and what becomes of it there. */
  readonly stored: { readonly type: string; readonly outcome: string } | undefined;
}

export function jsonTestSuite(): readonly SuiteCase[] {
  const path = join(import.meta.dirname, 'json-test-suite', 'files.json');
  const files: Readonly<Record<string, Stored>> = JSON.parse(readFileSync(path, 'utf8'));
  return Object.entries(files).map(([name, stored]) => {
    const decision = DECISIONS[name];
    return {
      name,
      bytes: bytesOf(stored),
      isJson: decision ? decision.isJson : name.startsWith('y_'),
      why: decision?.why,
      stored: decision?.stored,
    };
  });
}

type Stored = string | { readonly repeat: string; readonly times: number; readonly end: string };

function bytesOf(stored: Stored): Buffer {
  const decode = (text: string) => Buffer.from(text, 'base64');
  if (typeof stored === 'string') return decode(stored);
  const { repeat, times, end } = stored;
  return Buffer.concat([...Array.from({ length: times }, () => decode(repeat)), decode(end)]);
}

type Decision = Pick<SuiteCase, 'isJson' | 'why' | 'stored'>;

const NOT_UTF8: Decision = {
  isJson: false,
  why: 'RFC 8259, section 8.1: JSON between systems is UTF-8',
  stored: undefined,
};
const HALF_A_PAIR: Decision = {
  isJson: true,
  why: 'the grammar has any \\u escape, but half a surrogate pair is no text that UTF-8 could hold',
  stored: { type: 'ARRAY<STRING>', outcome: 'loneSurrogate' },
};

function number(type: string, outcome: string): Decision {
  return {
    isJson: true,
    why: 'the grammar has no largest number; a column has',
    stored: { type, outcome },
  };
}

/** What Tidemark makes of the implementation-defined ones. */
const DECISIONS: Readonly<Record<string, Decision>> = {
  'i_number_double_huge_neg_exp.json': number('ARRAY<DOUBLE>', 'row'),
  'i_number_huge_exp.json': number('ARRAY<DOUBLE>', 'outOfRange'),
  'i_number_neg_int_huge_exp.json': number('ARRAY<DOUBLE>', 'outOfRange'),
  'i_number_pos_double_huge_exp.json': number('ARRAY<DOUBLE>', 'outOfRange'),
  'i_number_real_neg_overflow.json': number('ARRAY<DOUBLE>', 'outOfRange'),
  'i_number_real_pos_overflow.json': number('ARRAY<DECIMAL(38,0)>', 'outOfRange'),
  'i_number_real_underflow.json': number('ARRAY<DECIMAL(38,38)>', 'tooPrecise'),
  'i_number_too_big_neg_int.json': number('ARRAY<BIGINT>', 'outOfRange'),
  'i_number_too_big_pos_int.json': number('ARRAY<DECIMAL(38,0)>', 'row'),
  'i_number_very_big_negative_int.json': number('ARRAY<DOUBLE>', 'row'),
  'i_object_key_lone_2nd_surrogate.json': {
    ...HALF_A_PAIR,
    stored: { type: 'MAP<STRING, INT>', outcome: 'loneSurrogate' },
  },
  'i_string_1st_surrogate_but_2nd_missing.json': HALF_A_PAIR,
  'i_string_1st_valid_surrogate_2nd_invalid.json': HALF_A_PAIR,
  'i_string_UTF-16LE_with_BOM.json': NOT_UTF8,
  'i_string_UTF-8_invalid_sequence.json': NOT_UTF8,
  'i_string_UTF8_surrogate_U+D800.json': NOT_UTF8,
  'i_string_incomplete_surrogate_and_escape_valid.json': HALF_A_PAIR,
  'i_string_incomplete_surrogate_pair.json': HALF_A_PAIR,
  'i_string_incomplete_surrogates_escape_valid.json': HALF_A_PAIR,
  'i_string_invalid_lonely_surrogate.json': HALF_A_PAIR,
  'i_string_invalid_surrogate.json': HALF_A_PAIR,
  'i_string_invalid_utf-8.json': NOT_UTF8,
  'i_string_inverted_surrogates_U+1D11E.json': HALF_A_PAIR,
  'i_string_iso_latin_1.json': NOT_UTF8,
  'i_string_lone_second_surrogate.json': HALF_A_PAIR,
  'i_string_lone_utf8_continuation_byte.json': NOT_UTF8,
  'i_string_not_in_unicode_range.json': NOT_UTF8,
  'i_string_overlong_sequence_2_bytes.json': NOT_UTF8,
  'i_string_overlong_sequence_6_bytes.json': NOT_UTF8,
  'i_string_overlong_sequence_6_bytes_null.json': NOT_UTF8,
  'i_string_truncated-utf-8.json': NOT_UTF8,
  'i_string_utf16BE_no_BOM.json': NOT_UTF8,
  'i_string_utf16LE_no_BOM.json': NOT_UTF8,
  'i_structure_500_nested_arrays.json': {
    isJson: true,
    why: 'the limit of nesting is 512 and has a name, maxNesting',
    stored: undefined,
  },
  'i_structure_UTF-8_BOM_empty_object.json': {
    isJson: false,
    why: 'RFC 8259, section 8.1: a byte order mark must not be added',
    stored: undefined,
  },
};
