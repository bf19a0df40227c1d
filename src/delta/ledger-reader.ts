import type { ObjectStore } from '../storage/object-store.ts';
import {
  firstVersionOf,
  LEDGER_FOLDER,
  type LedgerVersion,
  ledgerCorrupt,
  ledgerPath,
  parseLedgerLine,
  tableVersionOf,
} from './ledger.ts';

/**
 * Reads a table's ledger. Its files never change and each begins where the one before ends, so what is known
 * stays true, and whether there is more is one look for one name.
 */
export class LedgerReader {
  private readonly store: ObjectStore;
  /** Ascending; undefined: never looked. */
  private files: readonly LedgerFile[] | undefined;
  /** The file read last: versions are asked for in a row, or by a chain that jumps back. */
  private held: { readonly file: LedgerFile; readonly lines: readonly string[] } | undefined;

  constructor(store: ObjectStore) {
    this.store = store;
  }

  /** Reads again the next time. */
  forget(): void {
    this.files = undefined;
    this.held = undefined;
  }

  /** The last version covered, as far as is known; -1 where there is no ledger. */
  get knownEnd(): number {
    return this.files?.at(-1)?.last ?? -1;
  }

  /** The last version covered when the call begins, or a later one. */
  async end(): Promise<number> {
    const files = [...(this.files?.length ? this.files : await this.listed())];
    for (let next = files.at(-1); next !== undefined; ) {
      next = await this.fileFrom(next.last + 1);
      if (next !== undefined) files.push(next);
    }
    this.files = files;
    return this.knownEnd;
  }

  /** The first version covered; undefined where there is no ledger. */
  async first(): Promise<number | undefined> {
    await this.end();
    return this.files?.[0]?.first;
  }

  /** Undefined where the ledger, as far as is known, does not tell. */
  async version(tableVersion: number): Promise<LedgerVersion | undefined> {
    const file = this.files?.findLast(({ first }) => first <= tableVersion);
    if (file === undefined || file.last < tableVersion) return undefined;
    if (this.held?.file.first !== file.first) this.held = { file, lines: await this.read(file) };
    return this.parse(file, this.held.lines, tableVersion);
  }

  /** The versions from `tableVersion` to the known end, ascending. */
  async *from(tableVersion: number): AsyncGenerator<LedgerVersion> {
    for (const file of this.files ?? []) {
      if (file.last < tableVersion) continue;
      const lines = await this.read(file);
      for (let next = Math.max(file.first, tableVersion); next <= file.last; next++)
        yield this.parse(file, lines, next);
    }
  }

  private parse(file: LedgerFile, lines: readonly string[], tableVersion: number): LedgerVersion {
    return parseLedgerLine(lines[tableVersion - file.first] ?? '', tableVersion, this.where(file.first));
  }

  private async listed(): Promise<LedgerFile[]> {
    const entries = await this.store.list(LEDGER_FOLDER);
    const firsts = entries.flatMap(({ path }) => firstVersionOf(path) ?? []);
    const newest = firsts.pop();
    if (newest === undefined) return [];
    const ends = [...firsts.slice(1), newest].map((next) => next - 1);
    const ended = firsts.map((first, index) => ({ first, last: ends[index] ?? first }));
    return [...ended, (await this.fileFrom(newest)) ?? []].flat();
  }

  /** Only its last line says where a file ends. */
  private async fileFrom(first: number): Promise<LedgerFile | undefined> {
    const path = ledgerPath(first);
    const stat = await this.store.stat(path);
    if (stat === undefined) return undefined;
    for (let length = TAIL_BYTES; ; length *= 2) {
      const start = Math.max(0, stat.sizeBytes - length);
      const tail = (await this.store.readRange(path, start, stat.sizeBytes))?.toString('utf8') ?? '';
      const lines = tail.trimEnd().split('\n');
      if (start > 0 && lines.length === 1) continue;
      const last = tableVersionOf(lines.at(-1) ?? '');
      if (last === undefined || last < first)
        throw ledgerCorrupt(`${this.where(first)} does not end with one of its versions`);
      return { first, last };
    }
  }

  private async read({ first }: LedgerFile): Promise<string[]> {
    const content = await this.store.read(ledgerPath(first));
    if (content === undefined) throw ledgerCorrupt(`${this.where(first)} is gone`);
    return content.toString('utf8').split('\n');
  }

  private where(first: number): string {
    return `${this.store.root}/${ledgerPath(first)}`;
  }
}

interface LedgerFile {
  readonly first: number;
  readonly last: number;
}

/** More than a line of most tables. */
const TAIL_BYTES = 64 * 1024;
