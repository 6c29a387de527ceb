// The modules as an icicle: a module's width is its time, and below it stand the modules inside it.

/**
 * The tree by the own times `own(i)` in µs: `width(i)` is that of module `i` and of all inside it, `inside(i)`
 * are the modules in it that take time, longest first, but those of one type that take about as long by their
 * numbers: layers stay in order. Null stands for all modules, where there is no one root.
 */
const makeIcicle = (own) => {
  const order = [...modules.roots],
    row = new Int32Array(modules.count),
    width = new Float64Array(modules.count);
  for (let at = 0; at < order.length; at++) {
    for (const child of modules.children(order[at])) {
      row[child] = row[order[at]] + 1;
      order.push(child);
    }
  }
  for (let at = order.length - 1; at >= 0; at--) {
    const i = order[at],
      parent = modules.parent(i);
    width[i] += own(i);
    if (parent != null) width[parent] += width[i];
  }
  const byNumber = new Intl.Collator("en", { numeric: true });
  const inOrder = (found) => {
    const widest = new Map();
    for (const i of found) widest.set(modules.type(i), Math.max(width[i], widest.get(modules.type(i)) ?? 0));
    const rank = (i) => (2 * width[i] > widest.get(modules.type(i)) ? widest.get(modules.type(i)) : width[i]);
    return found
      .filter((i) => width[i] > 0)
      .sort((a, b) => rank(b) - rank(a) || byNumber.compare(modules.label(a), modules.label(b)) || a - b);
  };
  const roots = inOrder(modules.roots);
  const top = roots.length === 1 ? roots[0] : null;
  const rowOf = (i) => (i == null ? 0 : row[i] + (top == null ? 1 : 0));
  const inside = once((i) => (i === "" ? roots : inOrder(modules.children(i))));
  return {
    top,
    row: rowOf,
    rows: order.reduce((most, i) => (width[i] > 0 ? Math.max(most, rowOf(i) + 1) : most), 0),
    width: (i) => (i == null ? roots.reduce((sum, root) => sum + width[root], 0) : width[i]),
    inside: (i) => inside(i ?? ""),
    /** From the top down to `i`. */
    chain: (i) => [...(top == null ? [null] : []), ...(i == null ? [] : modules.chain(i))],
  };
};

/**
 * The cells of an icicle, `room` px wide, zoomed to `module`, or to what is inside it from the `first`th on:
 * { module, row, x, width } with x and width in px; those too narrow to be seen are one, { parent, first, count, … }.
 */
const layOutIcicle = (icicle, { module, first }, room) => {
  const NARROWEST = 0.5,
    REST = 40,
    cells = [];
  const rest = (parent, from, row, x, width) =>
    cells.push({ parent, first: from, count: icicle.inside(parent).length - from, row, x, width });
  const parts = (parent, from, end, row, x, scale) => {
    const found = icicle.inside(parent);
    let left = x;
    for (let k = from; k < end; k++) {
      const width = icicle.width(found[k]) * scale;
      if (width < NARROWEST) {
        const narrow = found.slice(k).reduce((sum, i) => sum + icicle.width(i), 0) * scale;
        if (narrow >= NARROWEST) rest(parent, k, row, left, Math.max(1, narrow));
        return;
      }
      cells.push({ module: found[k], row, x: left, width });
      parts(found[k], 0, icicle.inside(found[k]).length, row + 1, left, scale);
      left += width;
    }
  };
  // What is around is as wide as all that is shown.
  for (const i of icicle.chain(module)) cells.push({ module: i, row: icicle.row(i), x: 0, width: room });
  const found = icicle.inside(module),
    row = icicle.row(module) + 1;
  let end = found.length,
    whole = icicle.width(module);
  if (first != null) {
    // As many as can be seen well, and a cell for what is still left, the width of which says nothing.
    whole = 0;
    for (end = first; end < found.length; end++) {
      const width = icicle.width(found[end]);
      if (width * (room - REST) < 3 * (whole + width)) break;
      whole += width;
    }
  }
  const isWhole = end === found.length;
  parts(module, first ?? 0, end, row, 0, (room - (isWhole ? 0 : REST)) / whole);
  if (!isWhole) rest(module, end, row, room - REST, REST);
  return cells;
};

const startFlame = (view, controls) => {
  const ROW = 22,
    MOST_ROWS = 16;
  let side = "forward"; // or "backward", "both"
  let icicle,
    zoom,
    cells = [];
  const readTimes = () => {
    icicle = makeIcicle(
      (i) =>
        (side === "backward" ? 0 : (modules.selfTime(i) ?? 0)) +
        (side === "forward" ? 0 : (modules.backwardSelfTime(i) ?? 0)),
    );
    if (zoom?.module == null || !icicle.width(zoom.module)) zoom = { module: icicle.top, first: null };
  };
  readTimes();

  const nameOf = (i) => (i == null ? _("all modules") : modules.label(i));
  const timeOf = (i) =>
    [
      ...(side === "backward" ? [] : [modules.time(i)]),
      ...(side === "forward" ? [] : [modules.backwardTime(i)]),
    ]
      .map(format.duration)
      .join(" + ");
  const moreText = (count) => ngettext("{n} more", "{n} more", count);
  const rowHeight = () => ROW * Math.min(1, MOST_ROWS / icicle.rows);
  const frame = ({ row, x, width }) => ({
    x,
    y: row * rowHeight(),
    width: Math.max(1, width - 1),
    height: rowHeight() - 1,
  });
  const cellOf = (i) => cells.find((cell) => cell.module === i);

  const renderItem = (_params, api) => {
    cells = layOutIcicle(icicle, zoom, api.getWidth());
    const rectangles = makeRectangles(),
      labels = [];
    const styleOf = once((colour) => ({ fill: colour }));
    const text = cssColour("--text"),
      hatch = { fill: hatchedFill(colours.grey, "/") },
      all = { fill: cssColour("--line") };
    for (const cell of cells) {
      const shape = frame(cell),
        isModule = cell.module != null,
        colour = isModule ? colours.of(cell.module) : null;
      rectangles.add(isModule ? styleOf(colour) : cell.count ? hatch : all, shape);
      labels.push(
        cell.count
          ? labelIn(moreText(cell.count), { fill: text, halo: cssColour("--card"), whole: true }, shape)
          : labelIn(nameOf(cell.module), { fill: isModule ? readable(colour) : text }, shape),
      );
    }
    const chosen = state.selected == null ? null : cellOf(state.selected);
    const marks = [
      ["--card", 5],
      ["--text", 2.5],
    ].map(
      ([colour, lineWidth]) =>
        chosen && {
          type: "rect",
          silent: true,
          z2: 3,
          shape: frame(chosen),
          style: { fill: "none", stroke: cssColour(colour), lineWidth },
        },
    );
    // Answers the pointer; the rest is silent.
    const ground = {
      type: "rect",
      shape: { x: 0, y: 0, width: api.getWidth(), height: api.getHeight() },
      style: { fill: "transparent" },
    };
    return {
      type: "group",
      emphasisDisabled: true,
      children: [ground, ...rectangles.shapes(), ...labels, ...marks].filter((one) => one),
    };
  };

  const hintOf = (cell) => {
    if (!cell) return "";
    if (cell.count) {
      return hint(moreText(cell.count), [
        [_("Inside"), elide(nameOf(cell.parent), 200)],
        [_("too narrow to be drawn"), _("a click shows them")],
      ]);
    }
    if (cell.module == null) return hint(nameOf(null), []);
    // A module that several others call stands in the first of them, with all its time.
    const width = icicle.width(cell.module),
      isWider = side === "forward" && width > 1.1 * (modules.time(cell.module) ?? 0);
    return moduleHint(
      cell.module,
      isWider ? [[_("Width, with calls of what is inside from elsewhere"), format.duration(width)]] : [],
    );
  };

  const crumbs = element("p", { class: "crumbs", id: "flame-crumbs" });
  const note = element("p", { class: "note", id: "flame-note" });
  const write = () => {
    const chain = icicle.chain(zoom.module);
    const shown = chain.map((i) =>
      i === zoom.module && zoom.first == null
        ? element("b", {}, nameCell(nameOf(i), 60))
        : element(
            "button",
            { type: "button", class: "link", onclick: () => zoomTo(i) },
            nameCell(nameOf(i), 40),
          ),
    );
    const isWhole = chain.length < 2 && zoom.first == null;
    const back = element(
      "button",
      { type: "button", id: "flame-out", onclick: zoomOut, disabled: isWhole },
      `↑ ${_("Zoom out")}`,
    );
    const rest = zoom.first == null ? null : moreText(icicle.inside(zoom.module).length - zoom.first);
    crumbs.replaceChildren(
      back,
      " ",
      ...shown.flatMap((one, k) => (k ? [" › ", one] : [one])),
      ...(rest ? [" › ", element("b", {}, rest)] : []),
      ...(zoom.module == null ? [] : [element("span", { class: "muted" }, ` ${timeOf(zoom.module)}`)]),
    );
    const isEmpty = !icicle.rows,
      isUndrawn = state.selected != null && !icicle.width(state.selected);
    made.box.hidden = crumbs.hidden = isEmpty;
    const basis = `${timeWord()}, ${payload.per_pass ? basisWord() : _("over the whole trace")}.`;
    note.textContent = isEmpty
      ? _("Nothing to draw: no module has time of this kind.")
      : [
          basis,
          _(
            "Arrow keys walk through the chart, Enter zooms in, Backspace and a click on what is above zoom out, a double click shows the whole model.",
          ),
          isUndrawn
            ? fill(_("{module} takes no time here."), { module: elide(nameOf(state.selected), 60) })
            : "",
        ]
          .filter((one) => one)
          .join(" ");
  };

  const redraw = () => {
    pointer.forget();
    made.redraw();
    write();
  };
  const zoomTo = (module, first = null) => {
    zoom = { module, first };
    redraw();
  };
  const zoomOut = () => {
    if (zoom.first != null) zoomTo(zoom.module);
    else if (zoom.module !== icicle.top) zoomTo(icicle.chain(zoom.module).at(-2));
  };
  /** Zooms out or in until module `i` can be seen. */
  const reveal = (i) => {
    if (!icicle.width(i)) return;
    const isSeen = () => layOutIcicle(icicle, zoom, made.box.clientWidth).some((cell) => cell.module === i);
    if (!isSeen()) zoom = { module: icicle.chain(i).at(-2) ?? null, first: null };
    if (!isSeen()) zoom = { module: i, first: null };
  };
  const choose = (cell) => {
    if (cell.count) {
      zoomTo(cell.parent, cell.parent === zoom.module ? cell.first : null);
      return;
    }
    zoomTo(cell.module);
    if (cell.module != null) select(cell.module, "flame");
  };

  onChange(["phase"], readTimes);
  onChange(["selected"], () => {
    if (state.selected != null && selectedFrom !== "flame") reveal(state.selected);
  });
  if (payload.has_backward) {
    makeSelect(controls, {
      label: () => _("Time of"),
      options: () => [
        ["forward", _("the forward")],
        ["backward", _("the backward")],
        ["both", _("both")],
      ],
      value: () => side,
      onchange: (value) => {
        side = value;
        readTimes();
        redraw();
      },
    }).id = "flame-side";
  }
  makeColourSelect(controls);
  makeLegend(view, () => [
    ...colourEntries(),
    [_("too narrow to be drawn"), hatchedBackground(colours.grey, "/")],
  ]);
  view.append(crumbs);
  const made = makeChart(view, {
    height: () => icicle.rows * rowHeight(),
    build: () => ({
      tooltip: { formatter: () => hintOf(pointer.found()), transitionDuration: 0 },
      series: [{ type: "custom", coordinateSystem: "none", data: [0], renderItem }],
    }),
    label: () => `${_("Time by module, from the outside in")}: ${timeWord()}, ${basisWord()}`,
    follows: ["selected", "colour"],
  });
  view.append(note);
  made.box.id = "flame-chart";
  made.box.tabIndex = 0;
  made.box.setAttribute("role", "application");
  made.box.setAttribute("aria-describedby", "flame-note");
  const pointer = followPointer(made, {
    find: (x, y) =>
      cells.find(
        (cell) =>
          cell.row === Math.floor(y / rowHeight()) && x >= cell.x && x < cell.x + Math.max(1, cell.width),
      ) ?? null,
    choose,
    frame,
  });
  made.chart.getZr().on("dblclick", () => zoomTo(icicle.top));
  onChange(["language", "phase", "selected"], () => {
    pointer.forget();
    write();
  });
  write();

  /** The cell that an arrow leads to from `from`, past those that stand for several. */
  const neighbour = (key, from) => {
    const inRow = (row) => cells.filter((cell) => !cell.count && cell.row === row);
    if (key === "ArrowUp")
      return inRow(from.row - 1).find(
        (cell) => cell.x <= from.x + from.width / 2 && cell.x + cell.width > from.x + from.width / 2,
      );
    if (key === "ArrowDown")
      return inRow(from.row + 1).find((cell) => cell.x >= from.x - 0.01 && cell.x < from.x + from.width);
    const row = inRow(from.row),
      at = row.indexOf(from);
    return row[key === "ArrowLeft" ? at - 1 : at + 1];
  };
  made.box.addEventListener("keydown", (event) => {
    const here = (state.selected != null && cellOf(state.selected)) || cellOf(zoom.module);
    const actions = {
      Enter: () => {
        if (here.module != null) choose(here);
      },
      Backspace: zoomOut,
      Home: () => zoomTo(icicle.top),
    };
    for (const key of ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"]) {
      actions[key] = () => {
        const next = state.selected == null ? here : neighbour(key, here);
        if (next?.module != null) select(next.module, "flame");
      };
    }
    if (!actions[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    actions[event.key]();
  });
};
