// The page of a job: its tables, each sorted at first by what costs most.

/** A label that is one text or one in each language. */
const inLanguage = (label) => (label == null || typeof label === "string" ? label : label[language]);

/** A column of names that are searched; a path (no words) is cut at its beginning: paths differ at their ends. */
const namesOf = (rows, query, { id, field = id, title, grow = 2, least = 140, isPath = false, empty = () => DASH }) => ({
  id,
  text: true,
  grow,
  least,
  title,
  field: () => field,
  value: (i) => inLanguage(rows[i][field]) || null,
  cell: (i) => {
    const text = inLanguage(rows[i][field]);
    if (!text) return numberCell(text == null ? DASH : empty());
    const cell = markedCell(text, query());
    return isPath && !text.includes(" ") ? element("div", { class: "tail" }, cell) : cell;
  },
  hidden: () => rows.every((row) => row[field] == null),
});

const inMs = (name) => () => withUnit(name(), _("ms"));

const startRanks = (view, controls) => {
  const rows = rowsOf(payload.ranks);
  const most = longestOf(rows);
  const delay = rows.reduce((found, row) => Math.max(found, row.delay_us ?? 0), 0);
  const numbers = (id, width, title, shown, hint) => numbersOf(rows, id, id, width, title, shown, hint);
  const ms = (id, title, hint) => numbers(id, 92, inMs(title), format.milliseconds, hint);
  makeTable(view, controls, {
    id: "ranks-grid",
    file: "ranks.csv",
    rows,
    label: () => _("Ranks"),
    search: () => _("Search ranks by number, host, file or place"),
    sortedBy: delay ? "delay_us" : "compute_us",
    texts: (row) => [String(row.rank), row.host ?? "", row.path, inLanguage(row.place) ?? ""],
    details: (row) => [
      [_("File"), row.path],
      [_("Host"), row.host],
      [_("Device"), row.device],
      [_("Steps"), format.count(row.steps)],
      [_("Where it lost most"), inLanguage(row.place)],
      [_("Clock − that of the first rank"), row.clock_offset_us == null ? "" : format.duration(row.clock_offset_us)],
      [_("Warnings"), inLanguage(row.warnings)],
    ],
    columns: (query) => [
      numbers("rank", 64, () => _("Rank"), format.count),
      {
        id: "split",
        text: true,
        grow: 2,
        least: 100,
        title: () => _("Step"),
        hint: () => _("Compute, exposed communication, copies, idle; the longest step fills the cell"),
        field: () => "wall_us",
        value: (i) => rows[i].wall_us,
        cell: (i) => (rows[i].wall_us == null ? numberCell(DASH) : splitBar(rows[i], most)),
      },
      { ...ms("compute_us", () => _("Compute")), width: 104 },
      { ...ms("communication_us", () => _("Exposed communication")), width: 120 },
      { ...ms("copy_us", () => _("Copies")), width: 84 },
      { ...ms("idle_us", () => _("Idle")), width: 84 },
      ms("wall_us", () => _("Step")),
      { ...ms("overlapped_us", () => _("Overlapped communication"), () => _("Part of compute")), width: 120 },
      {
        ...ms("waiting_us", () => _("Waiting for later ranks"), () => _("Part of the communication, exposed or not")),
        width: 128,
      },
      numbers("last_share", 92, () => _("Last to arrive"), (share) => format.percent(share)),
      {
        ...numbers("delay_us", 110, inMs(() => _("Delay")), null, () => _("Over all steps")),
        cell: (i) =>
          rows[i].delay_us == null
            ? numberCell(DASH)
            : barCell(format.milliseconds(rows[i].delay_us), rows[i].delay_us / (delay || 1), "var(--late-bar)"),
      },
      namesOf(rows, query, { id: "place", title: () => _("Where it lost most"), isPath: true, least: 140 }),
      ms("lost_us", () => _("Lost there"), () => _("Over all steps")),
    ],
  });
};

const startCollectives = (view, controls) => {
  const rows = rowsOf(payload.collectives);
  const waiting = rows.reduce((found, row) => Math.max(found, row.waiting_us ?? 0), 0);
  const numbers = (id, width, title, shown, hint) => numbersOf(rows, id, id, width, title, shown, hint);
  const ms = (id, title, hint) => numbers(id, 92, inMs(title), format.milliseconds, hint);
  makeTable(view, controls, {
    id: "collectives-grid",
    file: "collectives.csv",
    rows,
    label: () => _("Collectives"),
    search: () => _("Search collectives by operation, module, group or type"),
    sortedBy: waiting ? "waiting_us" : "duration_us",
    texts: (row) => [row.op, row.module ?? "", row.group_name, row.dtype ?? ""],
    details: (row) => [
      [_("Operation"), row.op],
      [_("Called in"), row.module],
      [_("Group"), row.group_name],
      [_("Data types"), row.dtype],
      [_("Found on every member of the group"), `${format.count(row.complete)} / ${format.count(row.count)}`],
    ],
    columns: (query) => [
      namesOf(rows, query, { id: "op", title: () => _("Operation"), grow: 1, least: 130 }),
      namesOf(rows, query, {
        id: "module",
        title: () => _("Called in"),
        isPath: true,
        grow: 1,
        least: 120,
        empty: () => `(${_("the whole model")})`,
      }),
      namesOf(rows, query, { id: "group_name", title: () => _("Group"), grow: 1, least: 110 }),
      numbers("members", 70, () => _("Ranks"), format.count),
      namesOf(rows, query, { id: "dtype", title: () => _("Type"), grow: 1, least: 70 }),
      numbers("bytes", 96, () => _("Size"), format.bytes, () => _("Of the whole message, as nccl-tests count it")),
      numbers("count", 76, () => _("Count"), format.count),
      numbers("matched", 116, () => _("Matched"), format.count, () => _("Found on several ranks")),
      { ...ms("duration_us", () => _("Duration"), () => _("Median over all ranks")), width: 112 },
      ms("transfer_us", () => _("Transfer"), () => _("Median of the least duration over the ranks")),
      {
        ...ms("waiting_us", () => _("Waiting"), () => _("Sum over all ranks and steps")),
        width: 130,
        cell: (i) =>
          rows[i].waiting_us == null
            ? numberCell(DASH)
            : barCell(format.milliseconds(rows[i].waiting_us), rows[i].waiting_us / (waiting || 1), "var(--late-bar)"),
      },
      ms("skew_mean_us", () => _("Skew, mean"), () => _("Of the longest wait in each")),
      ms("skew_max_us", () => _("Skew, most")),
      numbers("algorithm_gbs", 104, () => withUnit(_("Algorithm bandwidth"), _("GB/s")), (gbs) => format.fixed(gbs)),
      numbers("bus_gbs", 104, () => withUnit(_("Bus bandwidth"), _("GB/s")), (gbs) => format.fixed(gbs)),
    ],
  });
};

const startModules = (view, controls) => {
  const rows = rowsOf(payload.modules);
  const above = rows.reduce((found, row) => Math.max(found, row.above_us), 0) || 1;
  const numbers = (id, width, title, shown, hint) => numbersOf(rows, id, id, width, title, shown, hint);
  const ms = (id, title, hint) => numbers(id, 92, inMs(title), format.milliseconds, hint);
  makeTable(view, controls, {
    id: "modules-grid",
    file: "modules.csv",
    rows,
    label: () => _("Modules"),
    search: () => _("Search modules by path or type"),
    sortedBy: "above_us",
    texts: (row) => [row.path, row.type ?? ""],
    details: (row) => [
      [_("Module"), row.path],
      [_("Type"), row.type],
    ],
    columns: (query) => [
      namesOf(rows, query, {
        id: "path",
        title: () => _("Module"),
        isPath: true,
        least: 200,
        empty: () => `(${_("the whole model")})`,
      }),
      namesOf(rows, query, { id: "type", title: () => _("Type"), grow: 1, least: 120 }),
      numbers("ranks", 76, () => _("Ranks"), format.count),
      ms("min_us", () => _("Least")),
      ms("median_us", () => _("Median")),
      ms("mean_us", () => _("Mean")),
      ms("max_us", () => _("Most")),
      {
        ...ms("above_us", () => _("Most − mean")),
        width: 120,
        cell: (i) => barCell(format.milliseconds(rows[i].above_us), rows[i].above_us / above, "var(--late-bar)"),
      },
      numbers("imbalance", 124, () => _("Imbalance"), (share) => format.percent(share), () => _("Most ÷ mean − 1")),
      numbers("max_rank", 92, () => _("Slowest rank"), format.count),
      { ...ms("total_us", () => _("With modules inside, median")), width: 130 },
    ],
  });
};

const startSteps = (view, controls) => {
  const rows = rowsOf(payload.steps);
  const most = rows.reduce((found, row) => Math.max(found, row.most_wall), 0) || 1;
  const numbers = (id, width, title, shown, hint) => numbersOf(rows, id, id, width, title, shown, hint);
  const ms = (id, title, hint) => numbers(id, 104, inMs(title), format.milliseconds, hint);
  makeTable(view, controls, {
    id: "steps-grid",
    file: "steps.csv",
    rows,
    label: () => _("Steps"),
    search: () => _("Search steps by number"),
    sortedBy: "most_wall",
    texts: (row) => [String(row.step)],
    details: () => [],
    columns: () => [
      numbers("step", 70, () => _("Step"), String),
      numbers("ranks", 76, () => _("Ranks"), format.count),
      ms("least_wall", () => _("Least")),
      ms("median_wall", () => _("Median")),
      {
        ...ms("most_wall", () => _("Most")),
        width: null,
        grow: 1,
        least: 130,
        cell: (i) => barCell(format.milliseconds(rows[i].most_wall), rows[i].most_wall / most, "var(--bar)"),
      },
      numbers("slowest", 92, () => _("Slowest rank"), format.count),
      ms("median_compute", () => _("Compute, median")),
      ms("most_compute", () => _("Compute, most")),
      numbers("busiest", 96, () => _("Rank with most compute"), format.count),
      { ...ms("median_communication", () => _("Exposed communication, median")), width: 124 },
      ms("median_idle", () => _("Idle, median")),
    ],
  });
};

startSwitches();
show("columns", rowsOf(payload.ranks).some((row) => row.wall_us != null), startColumns);
show("ranks", rowsOf(payload.ranks).length > 0, startRanks);
show("heat", payload.heat != null, startHeat);
show("collectives", rowsOf(payload.collectives).length > 0, startCollectives);
show("modules", rowsOf(payload.modules).length > 0, startModules);
show("steps", rowsOf(payload.steps).length > 0, startSteps);
startContents();
document.documentElement.dataset.ready = "true";
