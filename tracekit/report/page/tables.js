// The tables of kernels and operators.

const kernelKinds = { kernel: () => _("kernel"), memcpy: () => _("copy"), memset: () => _("fill") };

const startKernels = (view, controls) => {
  const rows = rowsOf(payload.kernels);
  const whole = payload.time.gpu_time_us;
  const kind = (i) => ownOf(kernelKinds, rows[i].kind)?.() ?? rows[i].kind;
  const microseconds = (value) => format.fixed(value);
  makeTable(view, controls, {
    id: "kernels-grid",
    rows,
    file: "kernels.csv",
    label: () => _("Kernels"),
    search: () => _("Search kernels by name"),
    texts: (row) => [row.name],
    details: (row) => [[_("Name"), row.name]],
    columns: (query) => [
      {
        id: "name",
        text: true,
        grow: 1,
        least: 260,
        title: () => _("Kernel"),
        field: () => "name",
        value: (i) => rows[i].short,
        whole: (i) => rows[i].name,
        cell: (i) => markedCell(rows[i].short, query(), "", rows[i].name),
      },
      {
        id: "kind",
        text: true,
        width: 118,
        title: () => _("Kind"),
        field: () => "kind",
        value: kind,
        whole: (i) => rows[i].kind,
        cell: (i) => numberCell(kind(i)),
      },
      numbersOf(rows, "calls", "calls", 84, () => _("Calls"), format.count),
      {
        ...numbersOf(
          rows,
          "time",
          "gpu_time_us",
          170,
          () => withUnit(_("GPU time"), _("ms")),
          format.milliseconds,
          () => _("The bar and the percentage are its share of the GPU time of the trace"),
        ),
        cell: (i) => {
          const share = whole ? rows[i].gpu_time_us / whole : null;
          return barCell(
            format.milliseconds(rows[i].gpu_time_us),
            share,
            null,
            share == null ? null : format.share(share),
          );
        },
      },
      numbersOf(rows, "mean", "mean_us", 104, () => withUnit(_("Mean"), _("µs")), microseconds),
      numbersOf(rows, "min", "min_us", 92, () => withUnit(_("Min"), _("µs")), microseconds),
      numbersOf(rows, "max", "max_us", 92, () => withUnit(_("Max"), _("µs")), microseconds),
    ],
  });
};

const startOps = (view, controls) => {
  const rows = rowsOf(payload.ops).map((row) => ({
    ...row,
    operands: shapesText(row.shapes),
    types: dtypesText(row.dtypes),
  }));
  const side = payload.on_gpu ? "gpu" : "cpu";
  const time = `${side}_time_us`;
  const most = rows.reduce((found, row) => Math.max(found, row[time] ?? 0), 0);
  const texts = (id, field, whole, grow, least, title, query) => ({
    id,
    text: true,
    grow,
    least,
    title,
    field: () => whole,
    value: (i) => rows[i][field] || null,
    whole: (i) => rows[i][whole],
    cell: (i) =>
      rows[i][field] ? markedCell(rows[i][field], query(), "", rows[i][field]) : numberCell(DASH),
  });
  makeTable(view, controls, {
    id: "ops-grid",
    rows,
    file: "ops.csv",
    label: () => _("Operators"),
    search: () => _("Search operators by name, shapes or types"),
    texts: (row) => [row.name, row.operands, row.types],
    details: (row) => [
      [_("Name"), row.name],
      [_("Shapes"), row.shapes],
      [_("Data types"), row.dtypes],
    ],
    columns: (query) => [
      texts("name", "name", "name", 3, 210, () => _("Operator"), query),
      texts("shapes", "operands", "shapes", 3, 200, () => _("Shapes"), query),
      texts("types", "types", "dtypes", 1, 84, () => _("Data types"), query),
      numbersOf(rows, "calls", "calls", 84, () => _("Calls"), format.count),
      {
        ...numbersOf(
          rows,
          "time",
          time,
          104,
          () => withUnit(timeWord(), _("ms")),
          format.milliseconds,
          () => _("With the operators inside it: rows overlap. The longest bar is that of the greatest"),
        ),
        cell: (i) => barCell(format.milliseconds(rows[i][time]), most ? rows[i][time] / most : 0),
      },
      ...(payload.on_gpu
        ? [
            numbersOf(
              rows,
              "self",
              "gpu_self_time_us",
              110,
              () => withUnit(_("Self time"), _("ms")),
              format.milliseconds,
              () => _("Without the operators inside it"),
            ),
          ]
        : []),
      numbersOf(rows, "tflops", "tflops", 74, () => "TFLOP/s", format.fixed),
      ...(payload.on_gpu ? [] : [numbersOf(rows, "gflops", "cpu_gflops", 84, () => "GFLOP/s", format.fixed)]),
      numbersOf(
        rows,
        "gbs",
        "gbs",
        70,
        () => _("GB/s"),
        (value) => format.fixed(value, 1),
      ),
      numbersOf(
        rows,
        "intensity",
        "arithmetic_intensity",
        78,
        () => _("FLOP/B"),
        (value) => format.fixed(value, 1),
        () => _("FLOPs per byte of memory traffic"),
      ),
      {
        ...numbersOf(
          rows,
          "bound",
          "bound_share",
          76,
          () => _("Share of bound"),
          format.percent,
          () => _("The least time that the device could take ÷ the time it took"),
        ),
        cell: (i) => boundCell(rows[i].bound_share, rows[i].beats_bound),
      },
      {
        ...numbersOf(rows, "limit", "limited_by", 122, () => _("Limited by"), limitWord),
        text: true,
        value: (i) => (rows[i].limited_by == null ? null : limitWord(rows[i].limited_by)),
        whole: (i) => rows[i].limited_by,
        cell: (i) => limitCell(rows[i].limited_by),
      },
      numbersOf(
        rows,
        "won",
        "headroom_us",
        88,
        () => withUnit(_("To be won"), _("ms")),
        format.milliseconds,
        () => _("GPU time above the bound"),
      ),
    ],
  });
};
