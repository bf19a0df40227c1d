// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these texts are what is tested
/**
 * Goal: variables are replaced as the page says, and a value stays one value. Method: examples, and for any
 * value by property that the document around it keeps its shape.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PipelineDocument } from '../../src/pipeline/document.ts';
import { interpolate } from '../../src/pipeline/variables.ts';
import { briefly, problemsOf, VALID, withOption } from './parse.ts';

const ENVIRONMENT = { A: 'one', EMPTY: '', JSON: '{"a":[1]}', NESTED: '${A}' };

describe('interpolate', () => {
  it.each([
    ['${A}', 'one'],
    ['x${A}y${A}', 'xoneyone'],
    ['${NOPE:-else}', 'else'],
    ['${EMPTY:-else}', 'else'],
    ['${EMPTY}', ''],
    ['${A:-else}', 'one'],
    ['${NOPE:-}', ''],
    ['${NOPE:-a:-b}', 'a:-b'],
    ['$${A}', '${A}'],
    ['$A $ {A} $', '$A $ {A} $'],
    ['${NESTED}', '${A}'],
    ['cost $5', 'cost $5'],
  ])('%s is %s', (text, expected) => {
    expect(interpolate(text, ENVIRONMENT)).toEqual({ text: expected, missing: [], malformed: [] });
  });

  it.each(['${}', '${A', '${A B}', '${1A}', '${A:else}', '${A:-${B}}', '${A-b}'])(
    '%s is malformed',
    (text) => {
      expect(interpolate(text, ENVIRONMENT).malformed).not.toEqual([]);
    },
  );
});

describe('a value can never change the structure', { timeout: 60_000 }, () => {
  it('whatever it holds', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'binary' }),
          fc.constantFrom('a: b', '[x, y]', '\nb: 2', '"', "'", '*a', '&a x', '# c'),
        ),
        (value) => {
          const document = new PipelineDocument('a: ${V}\nb: [x, "${V}"]\nc: |\n  ${V}\n', { V: value });
          expect(document.problems).toEqual([]);
          expect(document.value).toEqual({ a: value, b: ['x', value], c: `${value}\n` });
        },
      ),
    );
  });

  it('keys are not replaced', () => {
    expect(new PipelineDocument('"${A}": 1', ENVIRONMENT).value).toEqual({ '${A}': 1 });
  });
});

describe('what cannot be replaced', () => {
  it('all of it is reported at once, with its place, and nothing that follows from it', () => {
    const text = `source:
  bootstrapServers: \${BROKERS}
  subscribe: [orders, "\${TOPIC}", "\${TOPIC}-\${RUN}"]
records:
  mode: \${}
  schema: |
    id STRING,
    \${MORE}
table:
  location: \${ROOT}/orders
`;
    expect(briefly(problemsOf(text))).toEqual([
      '2:21 The environment variable BROKERS is not set, and the file gives no default.',
      '3:23 The environment variable TOPIC is not set, and the file gives no default.',
      '3:35 The environment variable TOPIC is not set, and the file gives no default.',
      '3:35 The environment variable RUN is not set, and the file gives no default.',
      '5:9 ${} is not a variable.',
      '6:11 The environment variable MORE is not set, and the file gives no default.',
      '10:13 The environment variable ROOT is not set, and the file gives no default.',
    ]);
  });

  it('a password in bootstrapServers is refused and not shown', () => {
    const text = withOption('bootstrapServers', 'bootstrapServers: ${BROKERS}');
    const problems = problemsOf(text, { BROKERS: 'SASL_SSL://user:s3cret@host:9092' });
    expect(briefly(problems)).toEqual(['2:21 source.bootstrapServers has credentials in it.']);
    expect(JSON.stringify(problems)).not.toContain('s3cret');
  });

  it('VALID has no variable, so that the cases above are about variables', () =>
    expect(VALID).not.toContain('${'));
});
