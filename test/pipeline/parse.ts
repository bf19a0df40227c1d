import type { Environment } from '../../src/environment.ts';
import { parsePipeline } from '../../src/pipeline/load.ts';
import { InvalidPipeline, type Problem } from '../../src/pipeline/problems.ts';
import type { Specification } from '../../src/pipeline/specification.ts';

export const PATH = '/pipelines/products.yaml';

export function parse(text: string, environment: Environment = {}): Specification {
  return parsePipeline(text, PATH, environment);
}

/** The problems of a file that has some. */
export function problemsOf(text: string, environment: Environment = {}): readonly Problem[] {
  try {
    parse(text, environment);
  } catch (error) {
    if (error instanceof InvalidPipeline) return error.problems;
    throw error;
  }
  throw new Error(`no problem was found in:\n${text}`);
}

/** `5:3 message`, one per problem. */
export function briefly(problems: readonly Problem[]): string[] {
  return problems.map(({ line, column, message }) => `${line}:${column} ${message}`);
}

/** A valid file in which each option stands on a line of its own, to be changed. */
export const VALID = `source:
  bootstrapServers: 127.0.0.1:9092
  subscribe: [orders]
records:
  mode: failFast
  schema: |
    id STRING NOT NULL,
    at TIMESTAMP,
    tags ARRAY<STRING>
table:
  location: ./tables/orders
`;

/** VALID with more lines in a section, or with a new section. */
export function withLines(section: string, ...lines: string[]): string {
  const added = lines.map((line) => `  ${line}\n`).join('');
  return VALID.includes(`${section}:\n`)
    ? VALID.replace(`${section}:\n`, `${section}:\n${added}`)
    : `${VALID}${section}:\n${added}`;
}

/** VALID with one option's line written again. */
export function withOption(key: string, line: string): string {
  return VALID.replace(new RegExp(`^  ${key}:.*$`, 'm'), `  ${line}`);
}
