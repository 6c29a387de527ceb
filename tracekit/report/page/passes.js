// Every pass: how long it took, for how much of it the GPU was busy, and which passes are unlike the others.

const startPasses = (view, controls) => {
  const rows = rowsOf(payload.passes);
  const phaseRows = new Map(rowsOf(payload.phase_rows).map((row) => [row.name, row]));
  const phases = payload.phases;
  const onGpu = payload.on_gpu;
  const hasOutliers = rows.some((row) => row.outlier);
  // Of a great many passes not all are here.
  const whole = payload.spread[""],
    count = whole?.passes ?? rows.length;
  const MOST_NAMED = 5;
  // Of `SHAPES`, without that of outliers and what a legend draws like a bar.
  const PHASE_SHAPES = [0, 2, 4, 5, 6, 7];

  // What is shown: "all", "usual" (without outliers), or "phase " and a name.
  let wanted = "all";
  const shownRows = () =>
    rows.filter((row) =>
      wanted === "usual" ? !row.outlier : wanted === "all" || wanted === `phase ${row.phase}`,
    );
  const phaseWord = (name) => payload.phase_names[name] ?? name;
  /** The phases in what is shown; one without a name where the report has no phases. */
  const shownPhases = () =>
    phases.length
      ? phases.filter((name) => wanted === "all" || wanted === "usual" || wanted === `phase ${name}`)
      : [null];
  const colourOf = (phase) =>
    payload.palette.series[Math.max(0, phases.indexOf(phase)) % payload.palette.series.length];
  const inkOf = (phase) => (phases.length ? colourOf(phase) : cssColour("--text"));
  const ofPhase = (phase, text) => (phase == null ? text : `${phaseWord(phase)}: ${text}`);

  /** Figures of the passes of a phase, or of all; the spread is that of those that are no outliers. */
  const summary = (phase) => {
    const row = phase == null ? payload.time : (phaseRows.get(phase) ?? {}),
      known = payload.spread[phase ?? ""];
    const own = rows.filter((one) => phase == null || one.phase === phase),
      usual = own.filter((one) => !one.outlier);
    const walls = (usual.length ? usual : own).map((one) => one.wall_us);
    const [least, greatest] = known ? [known.least, known.greatest] : extentOf(walls);
    return {
      median: row.pass_wall_us ?? null,
      latency: row.latency_us ?? null,
      least,
      greatest,
      left: known?.outliers ?? own.length - walls.length,
    };
  };

  const hintOf = (row) =>
    hint(fill(_("Pass {n}"), { n: format.count(row.index) }), [
      row.phase == null ? null : [_("Phase"), elide(row.phase, 60)],
      [_("Start, since the trace began"), format.duration(row.start_us)],
      [_("Wall time"), format.duration(row.wall_us)],
      [_("CPU time"), format.duration(row.cpu_time_us)],
      onGpu ? [_("GPU time"), format.duration(row.gpu_time_us)] : null,
      onGpu ? [_("GPU busy"), format.duration(row.gpu_busy_us)] : null,
      onGpu ? [_("GPU idle between its kernels"), format.duration(row.gpu_idle_us)] : null,
      onGpu ? [_("Kernels"), format.count(row.kernels)] : null,
      [_("Matrix FLOPs"), format.flops(row.matrix_flops)],
      row.outlier ? [_("Outlier"), _("takes far longer than the others of its kind")] : null,
    ]);

  /** What the bars are made of, as [name, text, field, look]. */
  const stackOf = () =>
    onGpu
      ? [
          ["busy", _("GPU busy"), "gpu_busy_us", barStyle(payload.palette.series[5], 0)],
          [
            "idle",
            _("GPU idle between its kernels"),
            "gpu_idle_us",
            barStyle(payload.palette.grey, view.clientWidth / rows.length < 8 ? 0 : 4),
          ],
        ]
      : [];

  const axisOf = (largest) => {
    const [scale, unit] = durationUnit(largest);
    return {
      ...axisStyle(),
      type: "value",
      min: 0,
      boundaryGap: [0, "4%"],
      name: fill(_("Time under the profiler ({unit})"), { unit }),
      nameLocation: "middle",
      axisLabel: { color: cssColour("--text"), formatter: (value) => tickText(value / scale) },
    };
  };

  /** One pass: its times below each other, each with its number. */
  const buildOne = () => {
    const row = rows[0],
      { latency } = summary(row.phase != null && phaseRows.has(row.phase) ? row.phase : null);
    const text = cssColour("--text"),
      accent = payload.palette.series[0];
    const lines = [
      [_("Wall time"), row.wall_us, barStyle(accent, 0)],
      latency == null ? null : [_("Latency without the profiler"), latency, barStyle(accent, 4)],
      ...(onGpu
        ? [
            [_("GPU time"), row.gpu_time_us, barStyle(payload.palette.series[5], 0)],
            ...stackOf().map(([, name, field, look]) => [name, row[field], look]),
          ]
        : []),
    ]
      .filter((line) => line)
      .reverse();
    return {
      aria: { enabled: true, label: { enabled: false }, decal: { show: true } },
      grid: { left: 20 + Math.max(...lines.map(([name]) => textWidth(name))), right: 90, top: 6, bottom: 44 },
      tooltip: { trigger: "axis", axisPointer: { type: "none" }, formatter: () => hintOf(row) },
      xAxis: { ...axisOf(Math.max(...lines.map(([, us]) => us))), nameGap: 28 },
      yAxis: {
        ...axisStyle(),
        type: "category",
        data: lines.map(([name]) => name),
        axisTick: { show: false },
      },
      series: [
        {
          type: "bar",
          id: "pass",
          barMaxWidth: 22,
          data: lines.map(([, us, itemStyle]) => ({ value: us, itemStyle })),
          label: {
            show: true,
            position: "right",
            color: text,
            formatter: ({ value }) => format.duration(value),
          },
        },
      ],
    };
  };

  let zoom = { start: 0, end: 100 };
  const canZoom = (count) => count > 100 && !isPrinting;

  /** Median, spread and latency of a phase as lines over all passes, as [name, text, value, look, band]. */
  const linesOf = (phase) => {
    const { median, least, greatest, latency, left } = summary(phase),
      colour = inkOf(phase);
    return [
      median == null
        ? null
        : [
            `median ${phase}`,
            ofPhase(
              phase,
              fill(
                left
                  ? _("median {time}, without outliers from {least} to {greatest}")
                  : _("median {time}, from {least} to {greatest}"),
                {
                  time: format.duration(median),
                  least: format.duration(least),
                  greatest: format.duration(greatest),
                },
              ),
            ),
            median,
            { color: colour, width: 1.5, type: "solid" },
            [least, greatest],
          ],
      latency == null
        ? null
        : [
            `latency ${phase}`,
            ofPhase(
              phase,
              fill(_("latency without the profiler {time}"), { time: format.duration(latency) }),
            ),
            latency,
            { color: colour, width: 1.5, type: [6, 4] },
            null,
          ],
    ].filter((line) => line);
  };

  const buildMany = () => {
    const shown = shownRows(),
      text = cssColour("--text"),
      page = cssColour("--page"),
      high = cssColour("--high");
    const stack = stackOf(),
      lines = shownPhases().flatMap(linesOf),
      dense = view.clientWidth / shown.length;
    const size = Math.max(2.5, Math.min(10, dense));
    const walls = shownPhases().map((phase, i) => ({
      name: `wall ${phase}`,
      text: ofPhase(phase, _("wall time")),
      ...shapeOf(PHASE_SHAPES[i % PHASE_SHAPES.length], "", size),
      itemStyle: { color: inkOf(phase), borderColor: page, borderWidth: dense > 8 ? 1 : 0, decal: PLAIN },
      data: shown
        .map((row, at) => [at, row])
        .filter(([, row]) => !row.outlier && (phase == null || row.phase === phase))
        .map(([at, row]) => [at, row.wall_us]),
    }));
    const outliers = shown
      .map((row, at) => [at, row])
      .filter(([, row]) => row.outlier)
      .map(([at, row]) => [at, row.wall_us]);
    const entries = [
      ...stack.map(([name, word, , itemStyle]) => ({ name, text: word, icon: "rect", itemStyle })),
      ...walls.map((wall) => ({
        name: wall.name,
        text: wall.text,
        icon: wall.symbol,
        itemStyle: wall.itemStyle,
      })),
      ...(outliers.length
        ? [
            {
              name: "outliers",
              text: _("outlier"),
              icon: "diamond",
              itemStyle: { color: high, decal: PLAIN },
            },
          ]
        : []),
      ...lines.map(([name, word, , lineStyle]) => ({
        name,
        text: word,
        itemStyle: { opacity: 0 },
        lineStyle,
      })),
    ];
    const legend = legendAbove(entries, view.clientWidth);
    const [, largest] = extentOf(shown.map((row) => row.wall_us));
    const bar = {
      type: "bar",
      silent: true,
      barGap: "-100%",
      barCategoryGap: "20%",
      barMaxWidth: 40,
      large: shown.length > 600,
      largeThreshold: 0,
    };
    const indexOf = (at) => (shown[at] ? format.count(shown[at].index) : "");
    return {
      aria: { enabled: true, label: { enabled: false }, decal: { show: true } },
      legend: legend.option,
      grid: { left: 76, right: 20, top: legend.height + 14, bottom: 48 + (canZoom(shown.length) ? 28 : 0) },
      tooltip: {
        trigger: "axis",
        axisPointer: { type: "shadow", shadowStyle: { color: "rgba(128,128,128,.15)" } },
        formatter: (found) => {
          const row = shown[found[0]?.dataIndex];
          return row ? hintOf(row) : "";
        },
      },
      xAxis: {
        ...axisStyle(),
        type: "category",
        data: shown.map((_row, at) => String(at)),
        axisTick: { show: false },
        splitLine: { show: false },
        axisLabel: { color: text, formatter: indexOf },
        name: _("Pass"),
        nameLocation: "middle",
        nameGap: 26,
      },
      yAxis: { ...axisOf(largest), nameGap: 56 },
      dataZoom: canZoom(shown.length) ? zoomOptions(zoom, indexOf) : [],
      series: [
        // First, so that what is under the pointer has the position of a pass.
        {
          ...bar,
          id: "wall",
          itemStyle: { ...barStyle(cssColour("--line"), 0), opacity: 0.6 },
          data: shown.map((row) => row.wall_us),
        },
        ...stack.map(([name, , field, itemStyle]) => ({
          ...bar,
          name,
          stack: "gpu",
          itemStyle,
          data: shown.map((row) => row[field]),
        })),
        ...lines.map(([name, , value, lineStyle, band]) => ({
          type: "line",
          name,
          silent: true,
          symbol: "none",
          data: shown.map(() => value),
          lineStyle,
          itemStyle: { color: lineStyle.color },
          z: 4,
          ...(band && {
            markArea: {
              silent: true,
              itemStyle: { color: lineStyle.color, opacity: 0.12 },
              data: [[{ yAxis: band[0] }, { yAxis: band[1] }]],
            },
          }),
        })),
        ...walls.map(({ text: _text, ...wall }) => ({ type: "scatter", ...wall, silent: true, z: 5 })),
        {
          type: "scatter",
          name: "outliers",
          silent: true,
          z: 6,
          symbol: "diamond",
          symbolSize: 15,
          itemStyle: { color: high, borderColor: page, borderWidth: 1, decal: PLAIN },
          data: outliers,
        },
      ],
    };
  };

  const note = element("p", { class: "note", id: "passes-note" });
  const write = () => {
    const outliers = rows.filter((row) => row.outlier),
      outlierCount = whole?.outliers ?? outliers.length;
    const named = outliers
      .slice(0, MOST_NAMED)
      .map((row) => `${format.count(row.index)} (${format.duration(row.wall_us)})`);
    note.textContent =
      rows.length === 1
        ? _("The trace has one pass: how much passes differ is not known.")
        : outliers.length
          ? fill(
              ngettext(
                "{n} pass takes far longer than the others of its kind: {passes}",
                "{n} passes take far longer than the others of their kind: {passes}",
                outlierCount,
              ),
              { passes: named.join(", ") + (outlierCount > named.length ? ", …" : ".") },
            )
          : ngettext(
              "{n} pass, none of which takes far longer than the others of its kind.",
              "{n} passes, none of which takes far longer than the others of its kind.",
              count,
            );
  };
  const many = rows.length > 1;
  if (many && (hasOutliers || phases.length)) {
    makeSelect(controls, {
      label: () => _("Show"),
      options: () => [
        ["all", _("all passes")],
        ...(hasOutliers ? [["usual", _("without outliers")]] : []),
        ...phases.map((name) => [`phase ${name}`, fill(_("those of {phase}"), { phase: phaseWord(name) })]),
      ],
      value: () => wanted,
      onchange: (value) => {
        wanted = value;
        zoom = { start: 0, end: 100 };
        made.redraw();
      },
    }).id = "passes-shown";
  }
  view.append(note);
  const made = makeChart(view, {
    fluid: true,
    height: many ? 380 : onGpu ? 210 : 120,
    build: many ? buildMany : buildOne,
    label: () =>
      fill(_("Wall time of {passes}"), { passes: ngettext("{n} pass", "{n} passes", count) }),
  });
  made.box.id = "passes-chart";
  onChange(["language"], write);
  write();
  made.chart.on("datazoom", () => {
    const { start, end } = made.chart.getOption().dataZoom[0];
    zoom = { start, end };
  });
  let at = -1;
  makeWalkable(made, {
    count: () => shownRows().length,
    at: () => at,
    go: (to) => {
      at = to;
      const row = shownRows()[to];
      made.chart.dispatchAction({ type: "showTip", seriesIndex: 0, dataIndex: many ? to : 0 });
      return fill(_("Pass {n}: {time}"), { n: format.count(row.index), time: format.duration(row.wall_us) });
    },
  });
};
