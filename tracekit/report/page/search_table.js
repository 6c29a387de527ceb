// A table that is sorted and searched, with the whole names of the row that is chosen below it.

/**
 * A searchable grid of `rows`; `texts` are searched, `details(row)` are pairs of label and text shown for the chosen
 * row, `file` is its name as CSV, `sortedBy` the column that it begins with, `applies(row)` says whether a row is
 * shown now at all, and `atOnce` how many are at most.
 */
const makeTable = (
  view,
  controls,
  {
    id,
    label,
    search,
    rows,
    columns,
    texts,
    details,
    file,
    sortedBy = "time",
    applies = () => true,
    atOnce = rows.length,
  },
) => {
  const haystack = rows.map((row) => texts(row).join("\n").toLowerCase());
  let query = "",
    chosen = null;
  const detail = element("dl", { class: "detail", id: `${id}-detail`, "aria-live": "polite", hidden: true });
  const drawDetail = () => {
    detail.hidden = chosen == null;
    if (chosen == null) return;
    detail.replaceChildren(
      ...details(rows[chosen])
        .filter(([, text]) => text)
        .flatMap(([name, text]) => [element("dt", {}, name), element("dd", {}, element("bdi", {}, text))]),
    );
  };
  const grid = makeGrid(view, {
    id,
    label,
    count: rows.length,
    atOnce,
    columns: columns(() => query),
    sort: { column: sortedBy, descending: true },
    arrange: () =>
      rows
        .map((row) => row.index)
        .filter((i) => applies(rows[i]) && haystack[i].includes(query))
        .sort(grid.compare()),
    mark: (box, i) => {
      box.classList.toggle("selected", i === chosen);
      box.setAttribute("aria-selected", String(i === chosen));
    },
    choose: (i) => {
      chosen = i === chosen ? null : i;
      grid.remark();
      drawDetail();
    },
  });
  view.append(detail);
  const box = makeSearch(controls, {
    label: search,
    search: (text) => {
      query = text;
      grid.arrange();
      box.show(text ? foundText(grid.order.length) : "");
    },
    leave: () => {
      if (grid.active != null) grid.focus(grid.active);
    },
  });
  makeDownload(controls, grid, file);
  onChange(["language"], drawDetail);
};

/** A column of numbers of `rows`, hidden where none is known. */
const numbersOf = (rows, id, field, width, title, shown, hintText = () => null) => {
  const isUnknown = rows.every((row) => row[field] == null);
  return {
    id,
    width,
    title,
    hint: hintText,
    field: () => field,
    hidden: () => isUnknown,
    value: (i) => rows[i][field],
    cell: (i) => numberCell(shown(rows[i][field])),
  };
};
