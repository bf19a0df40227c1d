import type { Cell } from '../../readers/matrix.ts';

/** What a reader does otherwise by its own doing, as `docs/compatibility.md` says with its source. */
const KNOWN: readonly { readonly reader: RegExp; readonly table?: string; readonly found: RegExp }[] = [
  // Polars casts a file's bounds of a struct to the whole struct: not where a list, a map or bytes are in it,
  // which have no bounds.
  { reader: /^polars$/, found: /structs do not have the same number of fields/ },
  // Polars takes the first spelling of a moment for all; delta-rs spells them without the Z.
  { reader: /^polars$/, table: 'shared', found: /could not parse .* with pattern 'DatetimeYMD/ },
  // Arrow compares NaN as IEEE 754 does, the others as the greatest value; it does not skip by that rule, but
  // by bounds.
  { reader: /^delta-rs-dataset$/, found: /^(struct\.)?[df] / },
  // DataFusion's IN tells the two zeros apart wherever it does not turn it into `=`, which does not: also in
  // one row group (apache/datafusion#25186). Arrow's does so always.
  { reader: /^delta-rs(-dataset)?$/, found: / IN (-?0\.0, -?[\d.e+-]+|-?[\d.e+-]+, -?0\.0): / },
  // delta-rs writes bounds of decimals as doubles, reads them as null where they are too large, and then
  // finds no row of the file.
  { reader: /^delta-rs-dataset$/, table: 'shared', found: /^d\d+ / },
];

/** What is neither as it was meant nor known to be the reader's own. */
export function problemsOf(cells: readonly Cell[]): string[] {
  const problems: string[] = [];
  for (const cell of cells) {
    const truth = cells.find(({ table, reader }) => table === cell.table && reader === 'truth');
    const found = [
      ...(cell.failure === undefined ? [] : [cell.failure]),
      ...(cell.failure === undefined && cell.count !== truth?.count
        ? [`${cell.count} rows, meant ${truth?.count}`]
        : []),
      ...(cell.checksum !== undefined && cell.checksum !== truth?.checksum ? ['other rows'] : []),
      ...typesApart(cell, truth),
      ...(cell.hidden ?? []),
      ...(cell.differing ?? []),
      ...(cell.failing ?? []),
    ];
    for (const what of found) {
      const known = KNOWN.some(
        ({ reader, table, found }) =>
          reader.test(cell.reader) && (table ?? cell.table) === cell.table && found.test(what),
      );
      if (!known) problems.push(`${cell.table}, ${cell.reader}: ${what}`);
    }
  }
  return problems;
}

function typesApart(cell: Cell, truth: Cell | undefined): string[] {
  return Object.entries(cell.columns ?? {}).flatMap(([name, type]) =>
    type === truth?.columns?.[name] ? [] : [`${name} is ${type}, meant ${truth?.columns?.[name]}`],
  );
}

export function matrixText(cells: readonly Cell[]): string {
  const tables = [...new Set(cells.map(({ table }) => table))];
  const names = [...new Set(cells.map(({ reader }) => reader))].filter((name) => name !== 'truth');
  const lines = names.map((name) => {
    const row = tables.map((table) =>
      cellText(cells.find((cell) => cell.table === table && cell.reader === name)),
    );
    const version = cells.find(({ reader, version }) => reader === name && version !== undefined)?.version;
    return `| ${[`${name} ${version ?? ''}`.trim(), ...row].join(' | ')} |`;
  });
  return [`| | ${tables.join(' | ')} |`, `|${'---|'.repeat(tables.length + 1)}`, ...lines].join('\n');
}

function cellText(cell: Cell | undefined): string {
  if (cell === undefined) return '';
  if (cell.failure !== undefined) return 'fails';
  const notes = [
    ...(cell.hidden?.length ? [`${cell.hidden.length} lose rows`] : []),
    ...(cell.differing?.length ? [`${cell.differing.length} otherwise`] : []),
    ...(cell.failing?.length ? [`${cell.failing.length} fail`] : []),
  ];
  return [`${cell.count} rows, ${cell.filters} filters`, ...notes].join(', ');
}
