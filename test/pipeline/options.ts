import { pipelineJsonSchema } from '../../src/pipeline/json-schema.ts';

export interface Option {
  /** `source.subscribe`. */
  readonly name: string;
  readonly required: boolean;
  readonly default: unknown;
  readonly description: string;
}

interface Section {
  readonly properties?: Readonly<Record<string, Section>>;
  readonly required?: readonly string[];
  readonly default?: unknown;
  readonly description?: string;
}

/**
 * Every option of the published schema, in its order. What a section requires that may be left out is not
 * required.
 */
export function allOptions(
  section: Section = pipelineJsonSchema(),
  path: readonly string[] = [],
  isSectionRequired = true,
): Option[] {
  return Object.entries(section.properties ?? {}).flatMap(([key, value]) => {
    const required = isSectionRequired && (section.required?.includes(key) ?? false);
    if (value.properties) return allOptions(value, [...path, key], required);
    const { description = '' } = value;
    return [{ name: [...path, key].join('.'), required, default: value.default, description }];
  });
}
