import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * The file of a thread, process or bundle entry that lies next to the calling module: `.ts` when run from the
 * sources, `.js` when run from `dist`, where nothing would rewrite a literal `./name.ts`.
 *
 * @param importMetaUrl the caller's `import.meta.url`
 * @param name relative, without extension: `../task-thread`, `../workflows/index`
 */
export function entryFile(importMetaUrl: string, name: string): string {
  return fileURLToPath(new URL(name + extname(new URL(importMetaUrl).pathname), importMetaUrl));
}
