/** Follows a record's text to tell where in the document a byte lies: `seller.since`, `items[2].price`. */
export class PathWalker {
  private readonly containers: Container[] = [];
  private readonly record: Uint8Array;
  private position: number;

  /** @param record well-formed JSON as far as it will be walked */
  constructor(record: Uint8Array, start: number) {
    this.record = record;
    this.position = start;
  }

  /** Walks on to a byte, over whatever lies between. */
  advanceTo(byteOffset: number): void {
    const { record, containers } = this;
    for (let at = this.position; at < byteOffset; at++) {
      const innermost = containers.at(-1);
      switch (record[at]) {
        case 0x7b:
        case 0x5b:
          containers.push({ isArray: record[at] === 0x5b, index: 0, keyStart: -1, keyEnd: -1 });
          break;
        case 0x7d:
        case 0x5d:
          containers.pop();
          break;
        case 0x2c:
          if (innermost) {
            innermost.index++;
            innermost.keyStart = -1;
          }
          break;
        case 0x22: {
          const end = endOfString(record, at, byteOffset);
          if (innermost !== undefined && !innermost.isArray && innermost.keyStart < 0 && end !== undefined) {
            innermost.keyStart = at;
            innermost.keyEnd = end;
          }
          at = (end ?? byteOffset) - 1;
        }
      }
    }
    this.position = Math.max(this.position, byteOffset);
  }

  /** Passes over a whole value, or nothing, without looking at it. */
  skipTo(byteOffset: number): void {
    this.position = byteOffset;
  }

  /**
   * @param field a field of the object around the position that is meant instead of the one it lies in
   * @param maxName UTF-16 units of a name that are kept
   */
  path(field: string | undefined, maxName = Number.POSITIVE_INFINITY): string {
    let path = '';
    this.containers.forEach(({ isArray, index, keyStart, keyEnd }, depth) => {
      const isInnermost = depth === this.containers.length - 1;
      if (isArray) path += `[${index}]`;
      else if (keyStart >= 0 && !(isInnermost && field !== undefined)) {
        const key = stringAt(this.record, keyStart, keyEnd);
        if (key !== undefined) path = appendName(path, key, maxName);
      }
    });
    return field === undefined ? path : appendName(path, field, maxName);
  }
}

/** `keyStart` is -1 while no key of the field was met. */
interface Container {
  readonly isArray: boolean;
  index: number;
  keyStart: number;
  keyEnd: number;
}

/** The JSON string that begins with the quote at `start`, which is well-formed. */
export function stringFrom(record: Uint8Array, start: number): string {
  const end = endOfString(record, start, record.length) ?? record.length;
  return stringAt(record, start, end) ?? '';
}

/**
 * A step of a column's path in the schema: `seller.since`. Names that have a dot or a backquote themselves
 * are put in backquotes, so that no two columns share a path.
 */
export function appendStep(path: string, name: string): string {
  const step = /[.`]/.test(name) ? quoted(name) : name;
  return path === '' ? step : `${path}.${step}`;
}

/**
 * The names of a column's path, as `appendStep` writes it: `payload.ts_ms`, `` `a.b`.c ``. Undefined where
 * the text is no path.
 */
export function stepsOf(path: string): readonly string[] | undefined {
  const steps: string[] = [];
  const step = /(?:`((?:[^`]|``)*)`|([^.`]+))(\.|$)/y;
  for (let at = 0; ; at = step.lastIndex) {
    step.lastIndex = at;
    const [, quotedName, name, end] = step.exec(path) ?? [];
    if (end === undefined) return undefined;
    steps.push(quotedName?.replaceAll('``', '`') ?? name ?? '');
    if (end === '') return steps;
  }
}

/**
 * A path as `appendStep` writes it, where names are in backquotes without need; text that is not a path stays
 * as it is.
 */
export function plainPath(path: string): string {
  return stepsOf(path)?.reduce(appendStep, '') ?? path;
}

/** A column's name, which may stand in backquotes as in DDL. */
export function columnName(text: string): string {
  return /^`(?:[^`]|``)*`$/.test(text) ? text.slice(1, -1).replaceAll('``', '`') : text;
}

/** A column's name as text that names columns takes it: in backquotes where it is more than a plain word. */
export function quotedColumn(name: string): string {
  return /^\w+$/.test(name) ? name : quoted(name);
}

/** Past the closing quote, or undefined where there is none before `limit`. */
function endOfString(record: Uint8Array, start: number, limit: number): number | undefined {
  for (let at = start + 1; at < limit; at++) {
    if (record[at] === 0x5c) at++;
    else if (record[at] === 0x22) return at + 1;
  }
  return undefined;
}

/** `undefined` where a defect lies in the string itself. */
function stringAt(record: Uint8Array, start: number, end: number): string | undefined {
  try {
    return String(JSON.parse(Buffer.from(record.subarray(start, end)).toString('utf8')));
  } catch {
    return undefined;
  }
}

function appendName(path: string, name: string, maxName: number): string {
  const short = name.length > maxName ? `${name.slice(0, maxName)}…` : name;
  const step = /^[A-Za-z_][A-Za-z0-9_]*$/.test(short) ? short : quoted(short);
  return path === '' ? step : `${path}.${step}`;
}

function quoted(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``;
}
