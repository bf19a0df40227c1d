import { z } from 'zod';
import { pipelineShape } from './shape.ts';

type JsonSchema = z.core.JSONSchema.BaseSchema;

/** Editors check the text as it stands in the file: any option may be a variable there. */
const VARIABLE: JsonSchema = { type: 'string', pattern: '\\$\\{' };

/**
 * The JSON Schema of pipeline files (draft 7, what editors know best), for completion and checking while
 * writing. It accepts all that `loadPipeline` accepts, and refuses the mistakes that one option alone can
 * show.
 */
export function pipelineJsonSchema(): Record<string, unknown> {
  const { $schema, ...schema } = z.toJSONSchema(pipelineShape, {
    io: 'input',
    target: 'draft-07',
    override: ({ zodSchema, jsonSchema }) => {
      for (const bound of ['minimum', 'maximum'] as const) {
        if (Math.abs(jsonSchema[bound] ?? 0) === Number.MAX_SAFE_INTEGER) delete jsonSchema[bound];
      }
      if (zodSchema instanceof z.ZodPreprocess) widen(jsonSchema, { type: 'string' });
      else if (isRestrictedScalar(jsonSchema)) widen(jsonSchema, VARIABLE);
    },
  });
  return { $schema, title: 'Tidemark pipeline', ...schema };
}

function isRestrictedScalar({ type, enum: values, pattern, ...schema }: JsonSchema): boolean {
  return values !== undefined || 'const' in schema || pattern !== undefined || type === 'integer';
}

/** Turns `schema` into one that also takes what `other` takes. */
function widen(schema: JsonSchema, other: JsonSchema): void {
  const { description, default: otherwise, ...own } = schema;
  for (const key of Object.keys(schema)) delete schema[key];
  if (description !== undefined) schema.description = description;
  if (otherwise !== undefined) schema.default = otherwise;
  schema.anyOf = [...(own.anyOf ?? [own]), other];
}
