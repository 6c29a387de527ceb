// The roofline: how fast work runs against how much it computes with each byte, below what the device can do.

const startRoofline = (view, controls) => {
  const MOST = 3000,
    LABELLED = 3;
  const { peaks, bandwidth_gbs: bandwidth, note: deviceNote } = payload.device;
  const figures = payload.modules.columns;

  /** At most `MOST` of `rows`: of every type the largest, as many of each as there is room for. */
  const largestOf = (rows) => {
    const sorted = rows.sort((a, b) => b.time - a.time);
    if (sorted.length <= MOST) return sorted;
    const seen = new Map(),
      ranks = new Map();
    for (const row of sorted) {
      ranks.set(row, seen.get(row.type) ?? 0);
      seen.set(row.type, ranks.get(row) + 1);
    }
    return sorted
      .sort((a, b) => ranks.get(a) - ranks.get(b))
      .slice(0, MOST)
      .sort((a, b) => b.time - a.time);
  };
  /** Dots of a table's rows: `time` is what their area shows; those without a place are counted. */
  const dotsOf = (rows, time) => {
    const timed = rows.filter((row) => row[time] > 0);
    const placed = timed.filter((row) => row.roofline_intensity > 0 && row.roofline_tflops > 0);
    return {
      dots: largestOf(placed.map((row) => ({ ...row, time: row[time] }))),
      unplaced: timed.length - placed.length,
      beyond: Math.max(0, placed.length - MOST),
    };
  };
  const sources = {
    modules: () => {
      const names = [
        "gpu_time_us",
        "gpu_self_time_us",
        "roofline_intensity",
        "roofline_tflops",
        "gbs",
        "tflops",
        "bound_share",
        "beats_bound",
        "limited_by",
        "calls",
      ];
      const rows = Array.from({ length: modules.count }, (_unused, i) => {
        const row = { module: i, type: modules.type(i) };
        for (const name of names) row[name] = figures[name]?.[i] ?? null;
        return row;
      });
      return dotsOf(rows, "gpu_self_time_us");
    },
    types: () =>
      dotsOf(
        rowsOf(payload.types).filter((row) => row.kind === "modules"),
        "gpu_self_time_us",
      ),
    ops: () => dotsOf(rowsOf(payload.ops), "gpu_time_us"),
  };
  const found = {};
  const of = (name) => (found[name] ??= sources[name]());
  const choices = Object.keys(sources).filter((name) => of(name).dots.length);
  if (!choices.length) {
    sayInstead(view, () =>
      payload.flops.matrix == null
        ? _("The trace has no shapes, so FLOPs and bytes are not known: capture it with record_shapes=True.")
        : _("Of nothing that ran on the GPU are both FLOPs and bytes known."),
    );
    return;
  }
  let shown = choices[0];

  // Operators are of no module type.
  const by = () => (shown === "ops" ? "limit" : state.colour);
  const colourOf = (dot) => (by() === "limit" ? colours.limit(dot.limited_by) : colours.type(dot.type));
  const nameOf = (dot) =>
    shown === "modules"
      ? modules.path(dot.module) || modules.label(dot.module)
      : shown === "types"
        ? dot.type
        : dot.name;

  /** Whether a dot is of the selected module, or of one inside it. */
  const isSelected = (dot) => {
    for (let at = dot.module; at != null; at = modules.parent(at)) if (at === state.selected) return true;
    return false;
  };
  const marksSelection = () =>
    shown === "modules" && state.selected != null && of(shown).dots.some(isSelected);

  /** Flat roofs as [label, TFLOP/s], the lowest first: the peaks that the FLOPs of the trace are held against. */
  const flats = () => {
    const byPeak = new Map();
    for (const { dtype, tflops } of payload.flops.roofs)
      byPeak.set(tflops, [...(byPeak.get(tflops) ?? []), dtype]);
    return [...byPeak]
      .map(([peak, own]) => [`${own.join(", ")} ${format.fixed(peak, 1)}`, peak])
      .sort((a, b) => a[1] - b[1]);
  };

  const decades = (values) => {
    const powers = values.map(Math.log10);
    const low = Math.floor(Math.min(...powers)),
      high = Math.ceil(Math.max(...powers));
    return [10 ** low, 10 ** Math.max(high, low + 1)];
  };

  /** Lines of the device's roofs between the edges of the chart, with a label each. */
  const roofs = ([left, right], [bottom, top]) => {
    const peaksShown = flats(),
      highest = Math.max(...peaksShown.map(([, peak]) => peak));
    const lines = peaksShown.map(([text, peak]) => ({
      from: [bandwidth ? Math.max(left, (peak / bandwidth) * 1e3) : left, peak],
      to: [right, peak],
      text,
      ridge: Boolean(bandwidth),
    }));
    if (bandwidth) {
      const start = Math.max(left, (bottom / bandwidth) * 1e3),
        end = Math.min(right, ((peaksShown.length ? highest : top) / bandwidth) * 1e3);
      lines.push({
        from: [start, (start * bandwidth) / 1e3],
        to: [end, (end * bandwidth) / 1e3],
        text: `${format.fixed(bandwidth, 1)} ${_("GB/s")}`,
        slope: true,
      });
    }
    // From the lowest roof up, labels are moved off those below them.
    let taken = Infinity;
    const free = (y) => (taken = Math.min(y, taken - 14));
    const ink = cssColour("--text"),
      rim = cssColour("--page"),
      font = chartFont();
    return {
      type: "custom",
      id: "roofs",
      silent: true,
      z: 1,
      data: lines.map(({ from, to }) => [...from, ...to]),
      encode: { x: [0, 2], y: [1, 3] },
      clip: false,
      renderItem: (params, api) => {
        const line = lines[params.dataIndex];
        if (params.dataIndex === 0) taken = Infinity;
        const [x1, y1] = api.coord([api.value(0), api.value(1)]),
          [x2, y2] = api.coord([api.value(2), api.value(3)]);
        const stroke = {
          stroke: ink,
          fill: "none",
          lineWidth: 1.5,
          lineDash: line.slope
            ? null
            : [
                [8, 4],
                [2, 3],
                [10, 3, 2, 3],
                [5, 2],
              ][params.dataIndex % 4],
        };
        const letters = { text: line.text, font, fill: ink, stroke: rim, lineWidth: 3 };
        const label = line.slope
          ? {
              type: "text",
              x: x1 + (x2 - x1) * 0.3,
              y: y1 + (y2 - y1) * 0.3,
              rotation: Math.atan2(y1 - y2, x2 - x1),
              style: { ...letters, y: -5, align: "center", verticalAlign: "bottom" },
            }
          : {
              type: "text",
              style: { ...letters, x: x2 + 6, y: free(y2), align: "left", verticalAlign: "middle" },
            };
        const ridge =
          line.ridge && api.value(0) > params.coordSys.x
            ? [
                {
                  type: "circle",
                  shape: { cx: x1, cy: y1, r: 3.5 },
                  style: { fill: rim, stroke: ink, lineWidth: 1.5 },
                },
              ]
            : [];
        return {
          type: "group",
          children: [{ type: "line", shape: { x1, y1, x2, y2 }, style: stroke }, ...ridge, label],
        };
      },
    };
  };

  const hintOf = (dot) =>
    hint(nameOf(dot), [
      shown === "modules" ? [_("Type"), dot.type ?? DASH] : null,
      shown === "types" ? [_("Modules"), format.count(dot.modules)] : null,
      shown === "ops" && dot.shapes ? [_("Shapes"), elide(dot.shapes, 120)] : null,
      shown === "ops" && dot.dtypes ? [_("Data types"), elide(dot.dtypes, 80)] : null,
      [_("GPU time, over the whole trace"), format.duration(dot.gpu_time_us)],
      shown === "ops"
        ? null
        : [_("self time, without modules inside"), format.duration(dot.gpu_self_time_us)],
      [_("Calls, over the whole trace"), format.count(dot.calls)],
      [_("FLOPs per byte"), format.fixed(dot.roofline_intensity)],
      [_("TFLOP/s of the FLOPs that set the bound, as drawn"), format.rate(dot.roofline_tflops)],
      shown === "types" ? null : [_("TFLOP/s of matrix FLOPs alone"), format.rate(dot.tflops)],
      [_("Memory traffic"), `${format.fixed(dot.gbs, 1)} ${_("GB/s")}`],
      [_("Bound reached"), boundText(dot.bound_share, dot.beats_bound)],
      [_("Limited by"), limitWord(dot.limited_by)],
    ]);

  // The dots as they are drawn, one over the other: small ones over large ones, those of the selection over all.
  let drawn = [];
  const build = () => {
    const all = of(shown).dots,
      marks = marksSelection();
    const chosen = new Set(marks ? all.filter(isSelected) : []);
    const dots = (drawn = marks ? [...all.filter((dot) => !chosen.has(dot)), ...chosen] : all);
    const xs = dots.map((dot) => dot.roofline_intensity),
      ys = dots.map((dot) => dot.roofline_tflops);
    const roofed = flats().map(([, peak]) => peak);
    const xRange = decades([
      ...xs,
      ...(bandwidth ? roofed.map((peak) => ((1.5 * peak) / bandwidth) * 1e3) : []),
    ]);
    const yRange = decades([...ys, ...roofed]);
    const groups = colours.legend(by());
    const groupOf = new Map(groups.map(([, colour], i) => [colour, i]));
    const labelled = new Set(all.slice(0, LABELLED)),
      largest = all[0].time,
      middle = Math.sqrt(xRange[0] * xRange[1]);
    const text = cssColour("--text"),
      page = cssColour("--page");
    const data = dots.map((dot, i) => {
      const colour = colourOf(dot),
        group = groupOf.get(colour) ?? groups.length - 1,
        isDim = marks && !chosen.has(dot);
      return {
        value: [xs[i], ys[i]],
        ...shapeOf(group, colour, Math.max(6, 44 * Math.sqrt(dot.time / largest))),
        itemStyle: isDim
          ? { color: cssColour("--line"), borderColor: page }
          : { color: colour, opacity: 0.75, borderColor: marks ? text : page, borderWidth: marks ? 2 : 1 },
        ...(labelled.has(dot) && {
          label: {
            show: true,
            formatter: () => elide(nameOf(dot), 34),
            position: xs[i] > middle ? "left" : "right",
            color: text,
            opacity: 1,
            fontSize: 12,
            padding: [3, 4],
            textBorderColor: page,
            textBorderWidth: 3,
          },
        }),
      };
    });
    const used = new Set(all.map(colourOf));
    const entries = groups
      .map(([label, colour], i) => ({
        name: String(i),
        text: elide(label, 28),
        icon: shapeOf(i, colour, 1).symbol,
        itemStyle: { color: colour },
      }))
      .filter((entry) => used.has(entry.itemStyle.color));
    const legend = legendAbove(entries, view.clientWidth, 12);
    const axis = ([low, high]) => ({
      ...axisStyle(),
      type: "log",
      logBase: 10,
      min: low,
      max: high,
      interval: Math.ceil(Math.log10(high / low) / 12),
      axisLabel: { color: text, formatter: decadeText },
      nameLocation: "middle",
    });
    return {
      legend: { ...legend.option, selectedMode: false },
      grid: {
        left: 76,
        right: 20 + Math.max(0, ...flats().map(([label]) => textWidth(label))),
        top: legend.height + 12,
        bottom: 50,
      },
      tooltip: {
        trigger: "item",
        formatter: ({ dataIndex, seriesId }) => (seriesId === "dots" ? hintOf(drawn[dataIndex]) : ""),
      },
      xAxis: { ...axis(xRange), name: _("FLOPs per byte"), nameGap: 30 },
      yAxis: { ...axis(yRange), name: _("TFLOP/s"), nameGap: 56 },
      series: [
        ...(peaks || bandwidth ? [roofs(xRange, yRange)] : []),
        {
          type: "scatter",
          id: "dots",
          data,
          z: 3,
          labelLayout: { hideOverlap: true },
          emphasis: { scale: 1.15 },
        },
        // The legend's entries need a series each.
        ...entries.map(({ name, itemStyle }) => ({ type: "scatter", name, data: [], itemStyle })),
      ],
    };
  };

  const note = element("p", { class: "note", id: "roofline-note" });
  const write = () => {
    const { unplaced, beyond } = of(shown);
    const what = {
      modules: _(
        "Modules whose own code runs on the GPU: a dot stands where the module with those inside it stands, its area is the GPU time of its own code.",
      ),
      types: _(
        "Types of modules: a dot stands where its modules with those inside them stand, its area is the GPU time of their own code.",
      ),
      ops: _("Operators by name, shapes and data types; the area of a dot is its GPU time."),
    }[shown];
    note.textContent = [
      what,
      _(
        "FLOPs are those that set the bound: matrix FLOPs that masks leave, or vector FLOPs where these take longer. Everything is over the whole trace.",
      ),
      beyond
        ? fill(_("Not drawn, since others like them take more time: {n}."), { n: format.count(beyond) })
        : "",
      unplaced
        ? fill(_("Not drawn, for lack of known FLOPs or bytes: {n}."), { n: format.count(unplaced) })
        : "",
      shown === "modules" && state.selected != null && !marksSelection()
        ? _("The selected module has no dot.")
        : "",
      peaks && bandwidth
        ? ""
        : fill(_("No roofs: {why}."), {
            why: deviceNote?.[language] ?? _("peak and bandwidth of the device are not known"),
          }),
    ]
      .filter((sentence) => sentence)
      .join(" ");
  };
  const names = {
    modules: () => _("modules"),
    types: () => _("types of modules"),
    ops: () => _("operators"),
  };
  if (choices.length > 1) {
    makeSelect(controls, {
      label: () => _("Dots"),
      options: () => choices.map((name) => [name, names[name]()]),
      value: () => shown,
      onchange: (value) => {
        shown = value;
        colourSelect.parentElement.hidden = shown === "ops";
        made.redraw();
        write();
      },
    }).id = "roofline-dots";
  }
  const colourSelect = makeColourSelect(controls);
  colourSelect.id = "roofline-colour";
  colourSelect.parentElement.hidden = shown === "ops";
  view.append(note);
  const made = makeChart(view, {
    fluid: true,
    height: 520,
    build,
    follows: ["selected", "colour"],
    label: () =>
      fill(_("Roofline of {dots}: {name} takes most GPU time"), {
        dots: names[shown](),
        name: elide(nameOf(of(shown).dots[0]), 80),
      }),
  });
  made.box.id = "roofline-chart";
  onChange(["language", "selected"], write);
  write();
  let at = -1;
  const go = (i) => {
    at = i;
    const dot = of(shown).dots[i];
    if (dot.module != null) select(dot.module, "roofline");
    made.chart.dispatchAction({
      type: "showTip",
      seriesIndex: peaks || bandwidth ? 1 : 0,
      dataIndex: drawn.indexOf(dot),
    });
    return fill(_("{name}: {time}, {rate}"), {
      name: elide(nameOf(dot), 80),
      time: format.duration(dot.gpu_time_us),
      rate: format.rate(dot.roofline_tflops),
    });
  };
  made.chart.on("click", ({ seriesId, dataIndex }) => {
    const module = seriesId === "dots" ? drawn[dataIndex].module : null;
    if (module != null) select(module, "roofline");
  });
  makeWalkable(made, { count: () => of(shown).dots.length, at: () => at, go });
};
