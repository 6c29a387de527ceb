// Tables as the payload holds them.

/** Rows of a table of columns, as objects; `index` is the row's position. */
const rowsOf = (columns) => {
  const names = Object.keys(columns).filter((name) => columns[name]);
  const count = names.length ? columns[names[0]].length : 0;
  return Array.from({ length: count }, (_unused, index) => {
    const row = { index };
    for (const name of Object.keys(columns)) row[name] = columns[name]?.[index] ?? null;
    return row;
  });
};
