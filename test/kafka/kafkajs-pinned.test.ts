/**
 * Goal: nobody changes the version of kafkajs, or reaches into it from another place, without noticing: its
 * deep modules promise nothing. Method: read package.json, the installed package and the sources.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { expect, it } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };

it('is exactly 2.2.4, as declared and as installed', () => {
  const installed = createRequire(import.meta.url)('kafkajs/package.json') as { version: string };
  expect([manifest.dependencies.kafkajs, installed.version]).toEqual(['2.2.4', '2.2.4']);
});

it('has its deep modules used in one file, and is used elsewhere only for development', () => {
  const src = new URL('../../src/', import.meta.url);
  const users = (pattern: RegExp) =>
    readdirSync(src, { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts') && pattern.test(readFileSync(new URL(file, src), 'utf8')))
      .filter((file) => !file.startsWith('dev/'));
  expect(users(/['"]kafkajs(\/[^'"]*)?['"]/)).toEqual(['kafka/kafkajs-source.ts']);
  expect(users(/['"]kafkajs\/src\//)).toEqual(['kafka/kafkajs-source.ts']);
});
