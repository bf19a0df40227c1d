/**
 * Goal: the decoder accepts exactly the JSON texts of RFC 8259 in UTF-8, in stored and in skipped values
 * alike.
 *
 * Method: every short text over an alphabet of structure, number and literal characters, judged by
 * `JSON.parse`; every short byte sequence, judged by Node's `isUtf8`; and a list in the manner of
 * JSONTestSuite (y_ accept, n_ reject).
 */
import { isUtf8 } from 'node:buffer';
import { describe, expect, test } from 'vitest';
import { Columns } from '../../src/records/columns.ts';
import { parseDdl } from '../../src/records/ddl.ts';
import { JsonDecoder } from '../../src/records/json-decoder.ts';
import { assembleRows } from './assembly.ts';
import { decodeRecord } from './decoding.ts';
import { decodeSlowly } from './json-model.ts';

describe('every text of up to', () => {
  test('4 structural characters is accepted as a skipped value, or as a whole record, like JSON.parse does', () => {
    const accepts = acceptor('other BIGINT');
    for (const text of textsUpTo(4, '{}[]":,1 atrue')) {
      expectAgreement(accepts, `{"x":${text}}`);
      expectAgreement(accepts, text);
    }
  });

  test('4 structural characters as a list that is stored', () => {
    const accepts = acceptor('x ARRAY<BIGINT>');
    for (const text of textsUpTo(4, '{}[]":,1 n')) expectAgreement(accepts, `{"x":[${text}]}`);
  });

  test('5 number characters is the number that the model reads', () => {
    const schema = parseDdl('d DOUBLE, l BIGINT, i INT');
    const columns = new Columns(schema);
    const decoder = new JsonDecoder({ nodes: columns.nodes });
    for (const text of textsUpTo(5, '-+019.e')) {
      const record = Buffer.from(`{"d":${text},"l":${text},"i":${text}}`);
      const expected = decodeSlowly(schema, {}, record);
      columns.clear();
      if (decoder.decode(record, 0, record.length) !== expected.outcome)
        expect.fail(`${text}: ${expected.outcome}`);
      if (expected.outcome !== 'recordDefect')
        expect(assembleRows(columns), text).toStrictEqual([expected.row]);
    }
  });

  test('4 characters of a literal is true, false, null or nothing', () => {
    const accepts = acceptor('x BOOLEAN');
    for (const literal of ['true', 'false', 'null']) {
      for (let i = 0; i <= literal.length; i++) {
        for (const change of ['', ' ', 'x', 'e', literal[i] ?? '']) {
          expectAgreement(accepts, `{"x":${literal.slice(0, i)}${change}${literal.slice(i)}}`);
          expectAgreement(accepts, `{"x":${literal.slice(0, i)}${change}${literal.slice(i + 1)}}`);
        }
      }
    }
  });
});

describe('strings', () => {
  test('every byte, alone and after a backslash, in a stored string, a skipped one and a key', () => {
    const accepts = acceptor('x STRING');
    for (let byte = 0; byte < 256; byte++) {
      for (const before of ['', '\\', 'a', '\\\\']) {
        const inner = Buffer.concat([Buffer.from(before), Buffer.from([byte])]);
        for (const [left, right] of [
          ['{"x":"', '"}'],
          ['{"y":"', '"}'],
          ['{"', '":1}'],
        ] as const) {
          const record = Buffer.concat([Buffer.from(left), inner, Buffer.from(right)]);
          const isAccepted = isUtf8(record) && parses(record.toString('utf8'));
          if (accepts(record) !== isAccepted)
            expect.fail(`${JSON.stringify(record.toString('latin1'))}: ${isAccepted}`);
        }
      }
    }
  });

  test('every two bytes, and every four that UTF-8 could be confused by', () => {
    const accepts = acceptor('x STRING');
    const borders = [
      0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed,
    ];
    borders.push(0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff);
    const record = Buffer.from('{"x":"....."}');
    const check = (...bytes: number[]): void => {
      record.fill('.', 6, 11);
      record.set(bytes, 6);
      if (accepts(record) !== isUtf8(record)) expect.fail(`bytes ${Buffer.from(bytes).toString('hex')}`);
    };
    for (let a = 0x20; a < 256; a++) {
      if (a === 0x22 || a === 0x5c) continue;
      for (let b = 0x80; b < 256; b++) check(a, b);
    }
    for (const a of borders)
      for (const b of borders) for (const c of borders) for (const d of borders) check(a, b, c, d);
  });

  test('every UTF-16 code unit as an escape, with the value that JSON.parse gives it', () => {
    const columns = new Columns(parseDdl('x STRING'));
    const decoder = new JsonDecoder({ nodes: columns.nodes });
    for (let unit = 0; unit <= 0xffff; unit++) {
      const hex = unit.toString(16).padStart(4, '0');
      const text = `{"x":"\\u${unit % 2 === 0 ? hex : hex.toUpperCase()}"}`;
      columns.clear();
      const isSurrogate = unit >= 0xd800 && unit < 0xe000;
      const outcome = decoder.decode(Buffer.from(text), 0, text.length);
      if (outcome !== (isSurrogate ? 'fieldDefect' : 'row')) expect.fail(`${text}: ${outcome}`);
      const [leaf] = columns.leaves;
      if (!isSurrogate && leaf?.values.toString('utf8', 4, leaf.valuesEnd) !== JSON.parse(text).x)
        expect.fail(text);
    }
  });

  test('surrogate pairs, whole and halved', () => {
    const stored = (escapes: string): unknown => {
      const { outcome, rows } = decodeRecord('x STRING', `{"x":"${escapes}"}`);
      return outcome === 'row' ? (rows[0] as { x: string }).x : outcome;
    };
    expect(stored('\\ud83d\\ude00')).toBe('😀');
    expect(stored('\\uDBFF\\uDFFF')).toBe('\u{10ffff}');
    expect(stored('\\ud800\\udc00')).toBe('\u{10000}');
    for (const half of [
      '\\ud83d',
      '\\ude00',
      '\\ude00\\ude00',
      '\\ude00\\ud83d',
      '\\ud83dx',
      '\\ud83d\\n',
      '\\ud83d\\u0041',
      '\\ud83d\\ud83d',
    ]) {
      expect(stored(half), half).toBe('fieldDefect');
    }
  });

  test('half a surrogate pair in a name or a value that is not stored does no harm', () => {
    expect(decodeRecord('x STRING', '{"\\ud800":"\\udc00","x":"a"}')).toMatchObject({
      outcome: 'row',
      rows: [{ x: 'a' }],
    });
  });
});

const ACCEPTED = {
  y_array_empty: '[]',
  y_array_nested: '[[[]],[{}],{"a":[]}]',
  y_array_with_several_null: '[1,null,null,null,2]',
  y_array_with_trailing_space: '[2] ',
  y_number: '[123e65]',
  y_number_0e1: '0e+1',
  y_number_double_close_to_zero:
    '-0.000000000000000000000000000000000000000000000000000000000000000000000000000001',
  y_number_huge: `1${'0'.repeat(500)}`,
  y_number_minus_zero: '-0',
  y_number_real_capital_e_neg_exp: '1E-2',
  y_object_basic: '{"asd":"sdf"}',
  y_object_duplicated_key: '{"a":"b","a":"c"}',
  y_object_empty_key: '{"":0}',
  y_object_escaped_null_in_key: '{"foo\\u0000bar":42}',
  y_object_proto: '{"__proto__":{"a":1}}',
  y_object_with_newlines: '{\n"a":\r"b"\t}',
  y_string_all_escapes: '"\\"\\\\\\/\\b\\f\\n\\r\\t\\u0061"',
  y_string_del: '"\x7f"',
  y_string_noncharacter: '"\uffff\u{10ffff}"',
  y_string_null_escape: '"\\u0000"',
  y_string_surrogates: '"\\uD834\\uDd1e"',
  y_string_line_separator: '"\u2028\u2029"',
  y_string_han: '"爬虫"',
  y_true: 'true',
};

const REJECTED = {
  n_array_1_true_without_comma: '[1 true]',
  n_array_colon: '["":1]',
  n_array_comma_only: '[,]',
  n_array_double_comma: '[1,,2]',
  n_array_extra_close: '["x"]]',
  n_array_incomplete: '["x"',
  n_array_trailing_comma: '[1,]',
  n_array_unclosed_with_object: '[{}',
  n_incomplete_true: 'tru',
  n_capital_true: 'True',
  n_number_plus: '+1',
  n_number_leading_zero: '012',
  n_number_minus_leading_zero: '-01',
  n_number_leading_dot: '.5',
  n_number_trailing_dot: '2.',
  n_number_dot_exponent: '2.e3',
  n_number_bare_exponent: '0e',
  n_number_sign_exponent: '0e+',
  n_number_hex: '0x1',
  n_number_infinity: 'Infinity',
  n_number_nan: 'NaN',
  n_number_minus: '-',
  n_number_minus_space: '- 1',
  n_number_fullwidth: '１',
  n_number_then_letter: '1a',
  n_number_two_dots: '1.2.3',
  n_object_bad_value: '{"x":truth}',
  n_object_comma_instead_of_colon: '{"x",null}',
  n_object_key_unquoted: '{a:1}',
  n_object_key_single_quoted: "{'a':1}",
  n_object_key_number: '{1:1}',
  n_object_missing_colon: '{"a" 1}',
  n_object_missing_value: '{"a":}',
  n_object_trailing_comma: '{"a":0,}',
  n_object_two_commas: '{"a":0,,"b":1}',
  n_object_comment: '{"a":/**/1}',
  n_object_closed_by_bracket: '{"a":1]',
  n_array_closed_by_brace: '[1}',
  n_string_bad_escape: '"\\x00"',
  n_string_escaped_emoji: '"\\😀"',
  n_string_incomplete_escape: '"\\',
  n_string_incomplete_unicode: '"\\u00A"',
  n_string_unicode_capital_u: '"\\U0041"',
  n_string_newline: '"a\nb"',
  n_string_tab: '"\t"',
  n_string_null: '"\0"',
  n_string_single_quote: "'a'",
  n_string_unclosed: '"a',
  n_structure_form_feed: '\f1',
  n_structure_no_break_space: '\u00a01',
  n_structure_byte_order_mark: '\ufeff1',
  n_structure_nothing: '',
  n_structure_star: '*',
};

describe('a list in the manner of JSONTestSuite', () => {
  const contexts = { skipped: 'other STRING', misfit: 'x BOOLEAN', string: 'x STRING', list: 'x ARRAY<INT>' };
  for (const [context, ddl] of Object.entries(contexts)) {
    test.each(Object.entries(ACCEPTED))(`${context}: %s`, (_, text) => {
      expect(decodeRecord(ddl, `{"x":${text}}`).outcome).not.toBe('recordDefect');
    });
    test.each(Object.entries(REJECTED))(`${context}: %s`, (_, text) => {
      expect(decodeRecord(ddl, `{"x":${text}}`)).toMatchObject({ outcome: 'recordDefect', rows: [] });
    });
  }
});

function acceptor(ddl: string): (record: string | Buffer) => boolean {
  const columns = new Columns(parseDdl(ddl));
  const decoder = new JsonDecoder({ nodes: columns.nodes });
  return (record) => {
    const bytes = Buffer.from(record);
    columns.clear();
    return decoder.decode(bytes, 0, bytes.length) !== 'recordDefect';
  };
}

/** A record is an object; and no field of the schema occurs twice in these texts. */
function expectAgreement(accepts: (record: string) => boolean, record: string): void {
  const isAccepted = parses(record) && record.trimStart().startsWith('{');
  if (accepts(record) !== isAccepted) expect.fail(`${record} should ${isAccepted ? '' : 'not '}be accepted`);
}

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function* textsUpTo(length: number, alphabet: string): Generator<string> {
  yield '';
  if (length === 0) return;
  for (const rest of textsUpTo(length - 1, alphabet))
    for (const character of alphabet) yield character + rest;
}
