/**
 * Goal: what is published about pipeline files is what the code checks. Method: the schema and the option
 * table are generated from the code and compared with the files; `npx vitest run --project unit
 * test/pipeline/json-schema -u` writes the schema again, and the failure prints the table.
 */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { pipelineJsonSchema } from '../../src/pipeline/json-schema.ts';
import { parsePipeline } from '../../src/pipeline/load.ts';
import { allOptions, type Option } from './options.ts';

const DOCS = resolve(import.meta.dirname, '../../docs');

describe('published descriptions of the pipeline file', () => {
  it('docs/pipeline.schema.json is the schema that the code has', async () => {
    const schema = `${JSON.stringify(pipelineJsonSchema(), null, 2)}\n`;
    await expect(schema).toMatchFileSnapshot(join(DOCS, 'pipeline.schema.json'));
  });

  it('docs/pipeline-file.md lists every option with its default and its meaning, and no other', () => {
    const page = readFileSync(join(DOCS, 'pipeline-file.md'), 'utf8');
    const [section = ''] = (page.split('\n## Options\n')[1] ?? '').split('\n## ');
    const rows = section.split('\n').filter((line) => line.startsWith('| `'));
    expect(rows.map(plain).join('\n')).toBe(allOptions().map(tableRow).map(plain).join('\n'));
  });

  it('the example of docs/pipeline-file.md is valid', () => {
    const page = readFileSync(join(DOCS, 'pipeline-file.md'), 'utf8');
    const [, example = ''] = /```yaml\n(.*?)```/s.exec(page) ?? [];
    expect(parsePipeline(example, '/pipelines/products.yaml', {}).compaction.schedule).toBeDefined();
  });

  it('every option has a description', () => {
    expect(allOptions().filter(({ description }) => !description.endsWith('.'))).toEqual([]);
  });
});

/** The formatter pads cells. */
function plain(row: string): string {
  return row.replace(/ +/g, ' ');
}

function tableRow({ name, required, default: value, description }: Option): string {
  return `| \`${name}\` | ${required ? 'required' : shown(value)} | ${description.replaceAll('|', '\\|')} |`;
}

function shown(value: unknown): string {
  if (value === undefined) return '';
  if (Array.isArray(value)) return `\`[${value.join(', ')}]\``;
  return `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;
}
