import type { LeafColumn } from './columns.ts';
import { PathWalker, stringFrom } from './json-path.ts';

/**
 * The fields of one record that the schema does not have, as the text of a JSON object: the path of each,
 * written as in a defect, and its value as it came. Fields that occur twice are in it twice.
 */
export class UnknownFields {
  private readonly leaf: LeafColumn;
  private text = Buffer.alloc(256);
  private textEnd = 0;
  private walker: PathWalker | undefined;

  /** @param leaf a nullable STRING of the top level */
  constructor(leaf: LeafColumn) {
    this.leaf = leaf;
  }

  begin(): void {
    this.textEnd = 0;
    this.walker = undefined;
  }

  /**
   * Adds the field whose name begins at `nameStart`, with its value `[valueStart, valueEnd)`; of a record
   * these come in their order. Returns the bytes of all so far.
   */
  add(
    buffer: Uint8Array,
    recordStart: number,
    nameStart: number,
    valueStart: number,
    valueEnd: number,
  ): number {
    this.walker ??= new PathWalker(buffer, recordStart);
    this.walker.advanceTo(nameStart);
    const path = this.walker.path(stringFrom(buffer, nameStart));
    this.walker.skipTo(valueEnd);
    // Written as well-formed text: half a surrogate pair in a name stays an escape.
    const before = Buffer.from(`${this.textEnd === 0 ? '{' : ','}${JSON.stringify(path)}:`);
    this.append(before, 0, before.length);
    this.append(buffer, valueStart, valueEnd);
    return this.textEnd;
  }

  /** Ends the record: one value, null where it has no such field. */
  end(): void {
    if (this.textEnd === 0) this.appendNull();
    else {
      this.append(CLOSE, 0, 1);
      this.leaf.appendBytes(this.text, 0, this.textEnd, 0);
    }
  }

  appendNull(): void {
    this.leaf.appendNull(0, 0);
  }

  private append(source: Uint8Array, start: number, end: number): void {
    const needed = this.textEnd + end - start;
    if (needed > this.text.length) {
      const grown = Buffer.allocUnsafe(Math.max(needed, this.text.length * 2));
      this.text.copy(grown, 0, 0, this.textEnd);
      this.text = grown;
    }
    this.text.set(source.subarray(start, end), this.textEnd);
    this.textEnd = needed;
  }
}

const CLOSE = Buffer.from('}');
