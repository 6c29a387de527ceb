// The page of a comparison: its tables of changes, each sorted by the size of the difference at first.

const signed = (value, shown) =>
  !isKnown(value) ? DASH : Math.abs(value) < 1e-6 ? "0" : `${value > 0 ? "+" : "−"}${shown(Math.abs(value))}`;
const signedMilliseconds = (us) => signed(us, format.milliseconds);
const signedPercent = (share) => (share === 0 ? format.percent(0) : signed(share, format.percent));
/** A difference ÷ what was before; as a factor where it is many times as much. */
const relativeChange = (share) => (share >= 10 ? `×${format.fixed(1 + share, 1)}` : signedPercent(share));
const sharePercent = (share) => signedPercent(share).replace(/^\+/, "");
const pValue = (value) =>
  !isKnown(value) ? DASH : value && value < 0.001 ? format.lessThan(3) : format.fixed(value, 3);

const verdictWord = (name) => ownOf(payload.verdicts[language], name) ?? name;

/** A label, which is one text or one in each language. */
const inLanguage = (label) => (label == null || typeof label === "string" ? label : label[language]);

/** Whether a row is of the phase that is chosen. */
const isOfPhase = (row) => !payload.phases.length || row.phase === state.phase;

/** Short names of kernels by their positions, one a line. */
const kernelsText = (positions) => (positions ?? []).map((at) => payload.kernel_names[at]).join("\n");

/** A table of changes. `named`: the columns before the figures; `more`: those after them. */
const startChanges = (view, controls, { id, label, search, named, more = () => [], details }) => {
  const rows = rowsOf(payload[id]);
  const most = new Map(),
    count = new Map();
  for (const row of rows) {
    most.set(row.phase, Math.max(most.get(row.phase) ?? 0, Math.abs(row.difference_us)));
    count.set(row.phase, (count.get(row.phase) ?? 0) + 1);
  }
  const numbers = (column, field, width, title, shown, said) =>
    numbersOf(rows, column, field, width, title, shown, said);
  makeTable(view, controls, {
    id: `${id}-grid`,
    file: `${id}.csv`,
    rows,
    label,
    search,
    sortedBy: "difference",
    applies: isOfPhase,
    atOnce: Math.max(...count.values()),
    texts: (row) => [inLanguage(row.label), inLanguage(row.type_label) ?? "", row.shapes ? operandsText(row) : ""],
    details: (row) => [
      [_("Name"), row.whole ?? inLanguage(row.label)],
      ...details(row),
      [_("Corrected p-value"), row.p_value == null ? "" : pValue(row.p_value)],
    ],
    columns: (query) => [
      ...named(rows, query),
      numbers("before", "before_us", 92, () => withUnit(_("Before"), _("ms")), format.milliseconds),
      numbers("after", "after_us", 92, () => withUnit(_("After"), _("ms")), format.milliseconds),
      {
        ...numbers("difference", "difference_us", 150, () => withUnit(_("Difference"), _("ms")), null, () =>
          _("Sorted by size, whatever the sign; the longest bar is that of the largest"),
        ),
        value: (i) => Math.abs(rows[i].difference_us),
        whole: (i) => rows[i].difference_us,
        cell: (i) => {
          const us = rows[i].difference_us,
            largest = most.get(rows[i].phase);
          return barCell(
            signedMilliseconds(us),
            largest ? Math.abs(us) / largest : 0,
            us > 0 ? "var(--more-bar)" : "var(--less-bar)",
          );
        },
      },
      numbers("relative", "relative", 92, () => "%", relativeChange, () => _("Of the time before")),
      numbers("share", "share", 100, () => _("Share of the difference"), sharePercent, () =>
        _("Of the difference of the totals"),
      ),
      ...more(rows),
      {
        id: "verdict",
        text: true,
        width: 148,
        title: () => _("Verdict"),
        field: () => "verdict",
        value: (i) => verdictWord(rows[i].verdict),
        whole: (i) => rows[i].verdict,
        cell: (i) =>
          element("span", { class: `verdict ${rows[i].verdict}` }, verdictWord(rows[i].verdict)),
      },
    ],
  });
};

/** A column of names that are searched; a path is cut at its beginning, since paths differ at their ends. */
const namesOf = (rows, query, { id, field, key = "label", title, grow = 3, least = 220, isPath = false }) => ({
  id,
  text: true,
  grow,
  least,
  title,
  field: () => field,
  value: (i) => inLanguage(rows[i][key]) || null,
  whole: (i) => rows[i][field] ?? null,
  cell: (i) => {
    const text = inLanguage(rows[i][key]);
    if (!text) return numberCell(DASH);
    const cell = markedCell(text, query(), "", rows[i].whole ?? text);
    return isPath ? element("div", { class: "tail" }, cell) : cell;
  },
  hidden: () => rows.every((row) => !inLanguage(row[key])),
});

const typesOf = (rows, query) =>
  namesOf(rows, query, {
    id: "type",
    field: rows.some((row) => row.type !== undefined) ? "type" : "type_after",
    key: "type_label",
    title: () => _("Type"),
    grow: 1,
    least: 140,
  });

/** How many modules there are before and after. */
const countsOf = (rows) => ({
  id: "modules",
  width: 84,
  title: () => _("Modules"),
  field: () => "modules_after",
  value: (i) => rows[i].modules_after,
  cell: (i) => {
    const { modules_before: before, modules_after: after, kind } = rows[i];
    if (!kind.startsWith("modules")) return numberCell(DASH);
    return numberCell([...new Set([before, after])].map(format.count).join(" → "));
  },
});

/** Whether the kernels are others. */
const changedOf = (rows) => ({
  id: "changed",
  text: true,
  width: 92,
  title: () => _("Kernels"),
  field: () => "kernels_changed",
  hint: () => _("Which ones they are stands below the table for the row that is chosen"),
  value: (i) => (rows[i].kernels_changed ? 1 : 0),
  whole: (i) => rows[i].kernels_changed,
  cell: (i) => numberCell(rows[i].kernels_changed ? _("changed") : ""),
  hidden: () => rows.every((row) => !row.kernels_changed),
});

const kernelDetails = (row) => [
  [_("Kernels before"), kernelsText(row.kernels_before)],
  [_("Kernels after"), kernelsText(row.kernels_after)],
];

const startPlaces = (view, controls) =>
  startChanges(view, controls, {
    id: "places",
    label: () => _("Places in the model"),
    search: () => _("Search places by name or type"),
    named: (rows, query) => [
      namesOf(rows, query, { id: "name", field: "place", title: () => _("Place"), isPath: true }),
      typesOf(rows, query),
      countsOf(rows),
    ],
    more: (rows) => [changedOf(rows)],
    details: () => [],
  });

const startModules = (view, controls) =>
  startChanges(view, controls, {
    id: "modules",
    label: () => _("Each module"),
    search: () => _("Search modules by path or type"),
    named: (rows, query) => [
      namesOf(rows, query, { id: "name", field: "key", title: () => _("Module"), isPath: true }),
      typesOf(rows, query),
    ],
    more: (rows) => [
      numbersOf(
        rows,
        "inclusive",
        "inclusive_difference_us",
        118,
        () => withUnit(_("With modules inside"), _("ms")),
        signedMilliseconds,
        () => _("The difference of the module with all that is inside it"),
      ),
      changedOf(rows),
    ],
    details: (row) => [
      [_("Path before"), row.path_before === row.path_after ? "" : row.path_before],
      [_("Path after"), row.path_before === row.path_after ? "" : row.path_after],
      ...kernelDetails(row),
    ],
  });

const startTypes = (view, controls) =>
  startChanges(view, controls, {
    id: "types",
    label: () => _("Module types"),
    search: () => _("Search types"),
    named: (rows, query) => [
      namesOf(rows, query, { id: "name", field: "type", title: () => _("Type") }),
      countsOf(rows),
    ],
    details: () => [],
  });

/** Shapes before, and after where they differ. */
const wholeShapes = (row) => [row.shapes, row.shapes_after].filter((text) => text).join(" → ");
const operandsText = (row) =>
  [row.shapes, row.shapes_after]
    .filter((text) => text)
    .map(shapesText)
    .join(" → ");

const startOps = (view, controls) =>
  startChanges(view, controls, {
    id: "ops",
    label: () => _("Operators"),
    search: () => _("Search operators by name or shapes"),
    named: (rows, query) => [
      namesOf(rows, query, { id: "name", field: "name", title: () => _("Operator"), least: 180 }),
      {
        id: "shapes",
        text: true,
        grow: 2,
        least: 180,
        title: () => _("Shapes"),
        field: () => "shapes",
        value: (i) => rows[i].shapes,
        cell: (i) =>
          rows[i].shapes ? markedCell(operandsText(rows[i]), query(), "", wholeShapes(rows[i])) : numberCell(DASH),
        hidden: () => rows.every((row) => !row.shapes),
      },
    ],
    more: (rows) => [changedOf(rows)],
    details: (row) => [
      [_("Shapes"), wholeShapes(row)],
      [_("Data types"), row.dtypes],
      ...kernelDetails(row),
    ],
  });

const startKernels = (view, controls) =>
  startChanges(view, controls, {
    id: "kernels",
    label: () => _("Kernels"),
    search: () => _("Search kernels by name"),
    named: (rows, query) => [
      namesOf(rows, query, { id: "name", field: "name", title: () => _("Kernel") }),
    ],
    details: () => [],
  });

/** Of what stands on the page for each phase, that of the chosen one. */
const showPhase = () => {
  for (const part of document.querySelectorAll("[data-phase]"))
    part.hidden = payload.phases.length > 0 && part.dataset.phase !== state.phase;
};

startSwitches();
showPhase();
onChange(["phase"], showPhase);
const starts = {
  places: startPlaces,
  modules: startModules,
  types: startTypes,
  ops: startOps,
  kernels: startKernels,
};
for (const [id, start] of Object.entries(starts)) show(id, rowsOf(payload[id]).length > 0, start);
startContents();
document.documentElement.dataset.ready = "true";
