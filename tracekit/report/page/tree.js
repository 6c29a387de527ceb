// The modules as a table that unfolds: times, speed and what limits of each, sorted within its parent.

const DEEPEST_INDENT = 16; // levels; what is deeper stands no further right

/** How deep each module stands. */
const depthsOfModules = () => {
  const depth = new Int32Array(modules.count);
  const pending = [...modules.roots];
  while (pending.length) {
    const i = pending.pop();
    for (const child of modules.children(i)) {
      depth[child] = depth[i] + 1;
      pending.push(child);
    }
  }
  return depth;
};

const startTree = (view, controls) => {
  const rows = makeTreeRows();
  const depth = depthsOfModules();
  const suffix = payload.per_pass ? "_per_pass_us" : "_us",
    side = payload.on_gpu ? "gpu" : "cpu";
  const figure = (name) => (i) => modules.figure(name, i);
  const isUnknown = (value) => () => {
    for (let i = 0; i < modules.count; i++) if (value(i) != null) return false;
    return true;
  };
  const most = (value) => {
    let found = 0;
    for (let i = 0; i < modules.count; i++) found = Math.max(found, value(i) ?? 0);
    return found;
  };
  let mostTime, mostSelf;
  const readMost = () => {
    mostTime = most(modules.time);
    mostSelf = most(modules.selfTime);
  };
  readMost();
  onChange(["phase"], readMost);

  const nameOf = (i) => {
    if (rows.isFlat) return markedCell(modules.path(i) || modules.label(i), rows.query);
    const path = modules.path(i),
      label = modules.label(i);
    const before = path.endsWith(label) ? path.slice(0, path.length - label.length) : "";
    return markedCell(label, rows.query, before, path || label);
  };
  const moduleCell = (i) =>
    rows.isFlat
      ? element("div", { class: "tail" }, nameOf(i))
      : element(
          "div",
          { class: "module", style: `--depth:${Math.min(depth[i], DEEPEST_INDENT)}` },
          element("span", { class: rows.canOpen(i) ? "toggle" : "toggle leaf", "aria-hidden": "true" }),
          nameOf(i),
        );
  const typeCell = (i) => {
    const name = modules.type(i);
    if (name == null) return numberCell(DASH);
    return element("span", {}, swatch(colours.type(name)), markedCell(name, rows.query));
  };
  const timeCell = (i) => {
    const share = mostTime ? (modules.time(i) ?? 0) / mostTime : null;
    return barCell(
      format.milliseconds(modules.time(i)),
      share,
      null,
      share == null ? null : format.share(share),
    );
  };
  const measured = (id, field, width, title, hint, cell, value = figure(field)) => ({
    id,
    width,
    title,
    hint,
    cell,
    value,
    field: () => field,
    hidden: isUnknown(value),
  });

  const columns = [
    {
      id: "module",
      text: true,
      grow: 3,
      least: 230,
      field: () => "path",
      title: () => _("Module"),
      value: (i) => (rows.isFlat ? modules.path(i) : modules.label(i)),
      whole: modules.path,
      cell: moduleCell,
    },
    {
      id: "type",
      text: true,
      grow: 2,
      least: 130,
      field: () => "type",
      title: () => _("Type"),
      value: modules.type,
      cell: typeCell,
      hidden: isUnknown(modules.type),
    },
    measured(
      "time",
      `${side}_time${suffix}`,
      132,
      () => withUnit(timeWord(), _("ms")),
      () => _("With the modules inside; the bar and the percentage are its share of the whole model's"),
      timeCell,
      modules.time,
    ),
    measured(
      "self",
      `${side}_self_time${suffix}`,
      122,
      () => withUnit(_("Self time"), _("ms")),
      () => _("Without the modules inside; the longest bar is that of the greatest"),
      (i) =>
        barCell(
          format.milliseconds(modules.selfTime(i)),
          mostSelf ? (modules.selfTime(i) ?? 0) / mostSelf : 0,
        ),
      modules.selfTime,
    ),
    {
      ...measured(
        "backward",
        `gpu_backward_time${suffix}`,
        100,
        () => withUnit(_("Backward"), _("ms")),
        () => _("GPU time of its backward, with the modules inside"),
        (i) => numberCell(format.milliseconds(modules.backwardTime(i))),
        modules.backwardTime,
      ),
      ...(payload.has_backward ? {} : { hidden: () => true }),
    },
    measured(
      "calls",
      "calls",
      84,
      () => _("Calls"),
      () => null,
      (i) => numberCell(format.count(modules.figure("calls", i))),
    ),
    measured(
      "tflops",
      "tflops",
      80,
      () => "TFLOP/s",
      () => _("Matrix FLOPs of what launched kernels ÷ GPU time of these"),
      (i) => numberCell(format.fixed(modules.figure("tflops", i))),
    ),
    measured(
      "bound",
      "bound_share",
      84,
      () => _("Share of bound"),
      () => _("The least time that the device could take ÷ the time it took"),
      (i) => boundCell(modules.figure("bound_share", i), modules.figure("beats_bound", i)),
    ),
    {
      ...measured(
        "limit",
        "limited_by",
        128,
        () => _("Limited by"),
        () => null,
        (i) => limitCell(modules.figure("limited_by", i)),
        figure("limited_by"),
      ),
      text: true,
      value: (i) =>
        modules.figure("limited_by", i) == null ? null : limitWord(modules.figure("limited_by", i)),
      whole: figure("limited_by"),
    },
    measured(
      "won",
      payload.per_pass ? "headroom_per_pass_us" : "headroom_us",
      100,
      () => withUnit(_("To be won"), _("ms")),
      () => _("GPU time above the bound"),
      (i) =>
        numberCell(
          format.milliseconds(modules.figure(payload.per_pass ? "headroom_per_pass_us" : "headroom_us", i)),
        ),
    ),
    measured(
      "memory",
      "allocated_bytes",
      92,
      () => withUnit(_("Allocated"), _("MB")),
      () => _("In its calls in one pass, with the modules inside"),
      (i) => numberCell(format.fixed(scaledDown(modules.figure("allocated_bytes", i), 1e6), 1)),
    ),
  ];

  const basis = element("p", { class: "note basis" });
  view.append(basis);
  const grid = makeGrid(view, {
    id: "tree-grid",
    role: "treegrid",
    label: () => _("The modules as a tree"),
    count: modules.count,
    columns,
    sort: { column: "time", descending: true },
    arrange: () => rows.list(grid.compare()),
    mark: (box, i) => {
      box.classList.toggle("selected", i === state.selected);
      box.setAttribute("aria-selected", String(i === state.selected));
      box.setAttribute("aria-level", rows.isFlat ? 1 : depth[i] + 1);
      if (rows.canOpen(i)) box.setAttribute("aria-expanded", String(rows.isOpen(i)));
      else box.removeAttribute("aria-expanded");
    },
    choose: (i, event) => {
      if (event.target.classList.contains("toggle") && rows.canOpen(i)) return unfold(i);
      if (event.type === "keydown" && i === state.selected) return focusInspector();
      return select(i, "tree");
    },
    press: (event, i) => {
      if (event.key === "ArrowRight" && rows.canOpen(i)) {
        if (!rows.isOpen(i)) unfold(i, true);
        else grid.focus(grid.order[grid.order.indexOf(i) + 1]);
      } else if (event.key === "ArrowLeft") {
        if (rows.canOpen(i) && rows.isOpen(i)) unfold(i, false);
        else if (!rows.isFlat && modules.parent(i) != null) grid.focus(modules.parent(i));
      } else return false;
      return true;
    },
  });
  const unfold = (i, open) => {
    rows.toggle(i, open);
    grid.arrange(i);
  };
  const unfoldAll = (open) => {
    rows.toggleAll(open);
    grid.arrange();
    grid.show(grid.active);
  };

  const box = makeSearch(controls, {
    label: () => _("Search modules by path or type"),
    search: (query) => {
      const n = rows.search(query);
      if (!query && state.selected != null) rows.open(state.selected);
      box.show(query ? foundText(n) : "");
      grid.arrange();
      const first = query ? grid.order.find((i) => rows.matches.has(i)) : state.selected;
      if (first != null) grid.show(first);
    },
    leave: () => {
      if (grid.active != null) grid.focus(grid.active);
    },
  });
  document.addEventListener("keydown", (event) => {
    if (!isSlash(event)) return;
    event.preventDefault();
    box.input.focus();
  });
  makeButton(controls, { label: () => _("Unfold all"), onclick: () => unfoldAll(true) });
  makeButton(controls, { label: () => _("Fold all"), onclick: () => unfoldAll(false) });
  const flat = element("input", {
    type: "checkbox",
    id: "tree-flat",
    onchange: () => {
      rows.isFlat = flat.checked;
      // In a list the modules that have others inside would stand first by their time.
      if (grid.sort.column === (flat.checked ? "time" : "self"))
        grid.sort = { column: flat.checked ? "self" : "time", descending: true };
      if (!flat.checked && state.selected != null) rows.open(state.selected);
      grid.arrange();
      grid.show(flat.checked ? grid.order[0] : (state.selected ?? grid.order[0]));
    },
  });
  const flatWord = element("span");
  controls.append(element("label", {}, flat, flatWord));
  makeDownload(controls, grid, "modules.csv");

  const name = () => {
    flatWord.textContent = _("All in one list");
    basis.textContent = treeBasis(
      columns.some(({ id, hidden }) => ["tflops", "bound", "won"].includes(id) && !hidden()),
    );
  };
  name();
  onChange(["language", "phase"], name);
  onChange(["selected"], () => {
    const i = state.selected;
    if (i == null || selectedFrom === "tree") return grid.remark();
    if (!grid.has(i)) {
      if (rows.isFlat) box.clear();
      else rows.open(i);
      grid.arrange();
    }
    grid.show(i);
    return grid.remark();
  });
};

/** What the figures of the tree are over; `hasSpeed`: whether it shows more of them than times and calls. */
const treeBasis = (hasSpeed) => {
  if (!payload.per_pass) return _("All figures are over the whole trace.");
  const basis = { basis: basisWord() };
  const ofPhase = payload.phases.length > 0;
  if (!hasSpeed) {
    return fill(
      ofPhase
        ? _("Times: {basis}. Calls: in the passes of this phase.")
        : _("Times: {basis}. Calls: over the whole trace."),
      basis,
    );
  }
  return fill(
    ofPhase
      ? _("Times: {basis}. Calls and TFLOP/s: in the passes of this phase; bounds: over the whole trace.")
      : _("Times and what is to be won: {basis}. Calls, TFLOP/s and bounds: over the whole trace."),
    basis,
  );
};
