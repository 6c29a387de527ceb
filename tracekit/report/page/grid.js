// Tables of many rows of one height. Tabulator lays out the columns and makes the cells; which rows there are, in
// which order, what marks them and which keys move among them is decided here.

const ROW_HEIGHT = 28; // px, as tables.css has it
const ROWS_IN_SIGHT = 20; // at most, without scrolling
const AROUND_ROWS = 66; // px of a table that the header and a scroll bar take
const ROWS_AROUND = 15; // drawn above and below those in sight, so that scrolling shows no gap
const ROWS_PRINTED = 60;
const PRINTED_WIDTH = 0.62; // of a column on the screen: letters are smaller on paper

/**
 * What draws the rows for Tabulator: those of `grid.order` that are in sight, and no others. Tabulator's own guesses
 * heights and keeps the cells of rows that left; here places are exact and what is drawn is never out of date.
 */
const rowsInSight = (grid) =>
  class {
    constructor(table) {
      this.table = table;
      this.holder = table.rowManager.element;
      this.body = table.rowManager.tableElement;
      this.verticalFillMode = "fill";
      this.drawn = new Set();
      grid.renderer = this;
    }

    rowOf(row) {
      return this.table.rowManager.rows[row];
    }

    /** The element of a row, or null where it is not drawn. */
    elementOf(row) {
      return this.drawn.has(row) ? this.rowOf(row).getElement() : null;
    }

    drop(row) {
      const found = this.rowOf(row);
      found.getElement().remove();
      found.deleteCells();
      found.deinitialize();
      this.drawn.delete(row);
    }

    draw() {
      const { holder, body, drawn } = this,
        count = grid.order.length,
        height = holder.clientHeight;
      const top = Math.min(holder.scrollTop, Math.max(0, count * ROW_HEIGHT - height));
      const first = Math.max(0, Math.floor(top / ROW_HEIGHT) - ROWS_AROUND);
      const last = Math.min(count, Math.ceil((top + height) / ROW_HEIGHT) + ROWS_AROUND);
      const wanted = grid.order.slice(first, last);
      const stays = new Set(wanted);
      for (const row of [...drawn]) if (!stays.has(row)) this.drop(row);
      let next = body.firstChild;
      wanted.forEach((row, k) => {
        const found = this.rowOf(row),
          box = found.getElement();
        if (!drawn.has(row)) {
          drawn.add(row);
          found.initialize(false, true);
        }
        if (box === next) next = next.nextSibling;
        else body.insertBefore(box, next);
        grid.mark(box, row, first + k);
      });
      body.style.paddingTop = `${first * ROW_HEIGHT}px`;
      body.style.paddingBottom = `${(count - last) * ROW_HEIGHT}px`;
    }

    // What Tabulator asks for.
    initialize() {}
    resize() {}
    clear() {
      this.clearRows();
    }
    clearRows() {
      for (const row of [...this.drawn]) this.drop(row);
    }
    renderRows() {
      grid.draw();
    }
    rerenderRows(callback) {
      callback?.();
      grid.draw();
    }
    render() {
      grid.draw();
    }
    rerender() {
      grid.draw();
    }
    scrollRows() {
      grid.draw();
    }
    scrollColumns() {}
    visibleRows() {
      return [...this.drawn].map((row) => this.rowOf(row));
    }
  };

/** Compares rows by the values of a column, unknown ones last, equal ones as the report has them. */
const comparator = (column, count, descending) => {
  const values = Array.from({ length: count }, (_unused, row) => column.value(row));
  const collator = new Intl.Collator(language, { numeric: true });
  return (a, b) => {
    const x = values[a],
      y = values[b];
    if (x == null || y == null) return (x == null) - (y == null) || a - b;
    const found = typeof x === "string" ? collator.compare(x, y) : x - y;
    return (descending ? -found : found) || a - b;
  };
};

/**
 * A table in a new element inside `parent`. A row is its number, from 0 to `count`; `atOnce` of them are shown at most.
 * `columns`: of each its `id`, `title()` with the unit, `hint()`, `value(row)` by which it sorts, `cell(row)` (an
 * element), `text` (whether it is no number), `width` or `grow` and `least` in px, `field` of report.json, `hidden()`.
 * `sort`: { column, descending } at first; `arrange()`: the numbers of the rows to be shown, in their order.
 * `mark(box, row)` adds to a row's element, `choose(row, event)` is called for a click, Enter or the space bar,
 * `press(event, row)` for other keys and says whether it used them. Returns the grid:
 * { order, sort, compare(), arrange(), show(row), … }, as commented below.
 */
const makeGrid = (
  parent,
  { id, role = "grid", label, count, atOnce = count, columns, sort, arrange, mark, choose, press },
) => {
  const grid = { order: [], active: null, sort, columns, renderer: null };
  const byId = new Map(columns.map((column) => [column.id, column]));
  const buttons = new Map();
  const place = new Int32Array(count).fill(-1); // of a row in `grid.order`
  let isBuilt = false,
    hasFocus = false,
    isDrawing = false;

  const box = element("div", { id, class: "grid" });
  parent.append(box);
  const table = new Tabulator(box, {
    data: Array.from({ length: count }, (_unused, row) => ({ row })),
    height: Math.min(atOnce, ROWS_IN_SIGHT) * ROW_HEIGHT + AROUND_ROWS,
    layout: "fitColumns",
    keybindings: false, // ours are below
    selectableRows: false,
    renderVertical: rowsInSight(grid),
    columnDefaults: { headerSort: false, resizable: "header" },
    columns: columns.map((column) => ({
      field: column.id,
      title: column.id,
      cssClass: column.text ? `text column-${column.id}` : `number column-${column.id}`,
      visible: !column.hidden?.(),
      ...(column.width ? { width: column.width } : { widthGrow: column.grow, minWidth: column.least }),
      titleFormatter: () => buttons.get(column.id),
      formatter: (cell) => column.cell(cell.getData().row),
    })),
  });

  const nameColumns = () => {
    for (const column of columns) {
      const isSorted = grid.sort.column === column.id;
      const [title, arrow] = buttons.get(column.id).children;
      title.textContent = column.title();
      arrow.textContent = isSorted ? (grid.sort.descending ? "▾" : "▴") : "";
      buttons.get(column.id).title = column.hint?.() ?? "";
      const head = buttons.get(column.id).closest(".tabulator-col");
      head?.setAttribute(
        "aria-sort",
        isSorted ? (grid.sort.descending ? "descending" : "ascending") : "none",
      );
    }
  };
  /** Sorts by a column; again: the other way round; once more: as at first. */
  const sortNext = (column) => {
    const first = !column.text; // numbers begin with the greatest
    if (grid.sort.column !== column.id) grid.sort = { column: column.id, descending: first };
    else if (grid.sort.descending === first) grid.sort = { column: column.id, descending: !first };
    else grid.sort = sort;
    grid.arrange();
    grid.holder.scrollTop = 0;
    grid.draw();
  };
  for (const column of columns) {
    buttons.set(
      column.id,
      element(
        "button",
        { type: "button", class: "sort", onclick: () => sortNext(column) },
        element("span"),
        element("span", { class: "arrow", "aria-hidden": "true" }),
      ),
    );
  }

  /** The order of rows by the chosen column, for `Array.sort`. */
  grid.compare = () => comparator(byId.get(grid.sort.column), count, grid.sort.descending);

  /** Takes the rows anew. What was the first in sight stays in its place if `anchor`, a row, is given. */
  grid.arrange = (anchor = null) => {
    const before = anchor == null ? -1 : place[anchor];
    place.fill(-1);
    grid.order = arrange();
    grid.order.forEach((row, k) => {
      place[row] = k;
    });
    if (grid.active == null || place[grid.active] < 0) grid.active = grid.order[0] ?? null;
    if (!isBuilt) return;
    box.setAttribute("aria-rowcount", grid.order.length + 1);
    nameColumns();
    if (before >= 0 && place[anchor] >= 0) {
      grid.draw(); // makes room to scroll
      grid.holder.scrollTop += (place[anchor] - before) * ROW_HEIGHT;
    }
    grid.redraw();
  };
  grid.has = (row) => place[row] >= 0;

  grid.mark = (row_box, row, at) => {
    row_box.dataset.row = row;
    row_box.setAttribute("aria-rowindex", at + 2); // the header is the first
    row_box.tabIndex = row === grid.active ? 0 : -1;
    row_box.classList.toggle("odd", at % 2 === 1);
    mark?.(row_box, row);
  };

  /** Puts into the document what is in sight. The focus stays on the active row, or waits for it on the holder. */
  grid.draw = () => {
    if (!isBuilt) return;
    isDrawing = true;
    grid.renderer.draw();
    isDrawing = false;
    const active = grid.active == null ? null : grid.renderer.elementOf(grid.active);
    grid.holder.tabIndex = active ? -1 : 0;
    const target = active ?? grid.holder;
    if (hasFocus && document.activeElement !== target) target.focus({ preventScroll: true });
  };
  /** Draws all cells in sight anew. */
  grid.redraw = () => {
    if (!isBuilt) return;
    isDrawing = true;
    grid.renderer.clearRows();
    grid.draw();
  };
  /** Draws the marks of the rows in sight anew. */
  grid.remark = () => {
    if (isBuilt)
      for (const row of grid.renderer.drawn) grid.mark(grid.renderer.elementOf(row), row, place[row]);
  };
  /** Makes a row the active one and brings it in sight, inside the table only; into its middle if it was far away. */
  grid.show = (row) => {
    if (place[row] < 0) return;
    grid.active = row;
    if (!isBuilt) return;
    const { holder } = grid,
      top = place[row] * ROW_HEIGHT,
      height = holder.clientHeight;
    const over = holder.scrollTop - top,
      under = top + ROW_HEIGHT - holder.scrollTop - height;
    if (Math.max(over, under) > 3 * ROW_HEIGHT) holder.scrollTop = top - (height - ROW_HEIGHT) / 2;
    else if (over > 0) holder.scrollTop -= over;
    else if (under > 0) holder.scrollTop += under;
    grid.draw();
  };
  /** Makes a row the active one and gives it the focus. */
  grid.focus = (row) => {
    grid.show(row);
    grid.renderer?.elementOf(row)?.focus();
  };

  const moves = {
    ArrowUp: (at) => at - 1,
    ArrowDown: (at) => at + 1,
    Home: () => 0,
    End: () => grid.order.length - 1,
    PageUp: (at) => at - Math.floor(grid.holder.clientHeight / ROW_HEIGHT) + 1,
    PageDown: (at) => at + Math.floor(grid.holder.clientHeight / ROW_HEIGHT) - 1,
  };
  box.addEventListener("keydown", (event) => {
    if (
      grid.active == null ||
      event.ctrlKey ||
      event.altKey ||
      event.metaKey ||
      event.target.closest("button")
    )
      return;
    const at = place[grid.active];
    if (event.key in moves)
      grid.focus(grid.order[Math.max(0, Math.min(grid.order.length - 1, moves[event.key](at)))]);
    else if (event.key === "Enter" || event.key === " ") choose?.(grid.active, event);
    else if (!press?.(event, grid.active)) return;
    event.preventDefault();
  });
  box.addEventListener("click", (event) => {
    const found = event.target.closest(".tabulator-row");
    if (!found) return;
    grid.focus(Number(found.dataset.row));
    choose?.(grid.active, event);
  });
  box.addEventListener("focusin", (event) => {
    if (event.target === grid.holder && grid.active != null && !isDrawing && !hasFocus) {
      hasFocus = true;
      grid.show(grid.active);
    }
    hasFocus = event.target === grid.holder || event.target.classList.contains("tabulator-row");
  });
  box.addEventListener("focusout", () => {
    if (!isDrawing) hasFocus = false;
  });

  const fit = () => {
    for (const column of columns) {
      if (column.hidden) table[column.hidden() ? "hideColumn" : "showColumn"](column.id);
    }
    table.redraw();
  };
  table.on("tableBuilt", () => {
    isBuilt = true;
    grid.holder = box.querySelector(".tabulator-tableholder");
    box.setAttribute("role", role);
    box.setAttribute("aria-label", label());
    grid.arrange();
    if (grid.active != null) grid.show(grid.active);
  });
  onChange(["language", "phase"], () => {
    if (!isBuilt) return;
    box.setAttribute("aria-label", label());
    fit();
    grid.arrange();
  });

  // Paper shows the first rows as a plain table: of a grid it would show what is in sight, cut off.
  let printed = null;
  window.addEventListener("beforeprint", () => {
    const shown = columns.filter((column) => !column.hidden?.());
    const kind = (column) => (column.text ? "text" : "number");
    const rest = grid.order.length - ROWS_PRINTED;
    printed = element(
      "table",
      { class: "printed" },
      rest > 0 ? element("caption", {}, ngettext("and {n} more row", "and {n} more rows", rest)) : null,
      element(
        "thead",
        {},
        element(
          "tr",
          {},
          ...shown.map((column) =>
            element(
              "th",
              {
                class: kind(column),
                style: column.width ? `width:${column.width * PRINTED_WIDTH}px` : null,
              },
              column.title(),
            ),
          ),
        ),
      ),
      element(
        "tbody",
        {},
        ...grid.order
          .slice(0, ROWS_PRINTED)
          .map((row) =>
            element(
              "tr",
              {},
              ...shown.map((column) => element("td", { class: kind(column) }, column.cell(row))),
            ),
          ),
      ),
    );
    box.after(printed);
  });
  window.addEventListener("afterprint", () => {
    printed?.remove();
    printed = null;
  });
  return grid;
};
