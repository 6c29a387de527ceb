// The blocks of the model as bars of time, whole or by part, and their efficiency as dots on a second axis.

const startBlocks = (view, controls) => {
  const rows = rowsOf(payload.blocks);
  const stacks = [...new Set(rows.map((row) => row.stack))];
  const kinds = [...new Set(rows.map((row) => row.kind))];
  const side = payload.on_gpu ? "gpu" : "cpu";
  const suffix = payload.per_pass ? "_per_pass_us" : "_us";
  // Parts have no CPU time per pass: on the CPU theirs is of the whole trace.
  const partTime = payload.on_gpu ? `gpu_time${suffix}` : "cpu_time_us";

  // Where the bars stand: one after another, with a gap (null) between stacks.
  const slots = rows.flatMap((row, i) => (i && row.stack !== rows[i - 1].stack ? [null, row] : [row]));
  const slotOf = new Map(slots.map((row, slot) => [row?.module, slot]).filter(([module]) => module != null));
  /** Stretches of neighbours that are alike, as [first slot, last slot, row]. */
  const runsOf = (key) =>
    slots.reduce((runs, row, slot) => {
      const last = runs.at(-1);
      if (row && last && last[1] === slot - 1 && key(last[2]) === key(row)) last[1] = slot;
      else if (row) runs.push([slot, slot, row]);
      return runs;
    }, []);
  const stackRuns = stacks.length > 1 ? runsOf((row) => row.stack) : [];
  const kindRuns = kinds.length > 1 ? runsOf((row) => `${row.stack}\n${row.kind}`) : [];

  const kindColours = (() => {
    const { parts, series, grey } = payload.palette;
    const taken = new Set(kinds.map((kind) => ownOf(parts, kind)));
    const free = series.filter((colour) => !taken.has(colour));
    return new Map(kinds.map((kind) => [kind, ownOf(parts, kind) ?? free.shift() ?? grey]));
  })();
  const partNames = Object.keys(payload.palette.parts);
  const patternOf = (name) => {
    const at = partNames.indexOf(name);
    return isNarrow() ? 0 : at < 0 ? partNames.length + kinds.indexOf(name) : at;
  };
  const kindWord = (kind) => elide(partWord(kind), 28);

  /** What is known of a block in the chosen phase. */
  const figures = (row) =>
    (payload.phases.length ? row.phases.find((one) => one.phase === state.phase) : row) ?? {};
  const timeOf = (row) => figures(row)[`${side}_time${suffix}`] ?? null;
  const speedOf = (row) => figures(row)[payload.on_gpu ? "tflops" : "cpu_gflops"] ?? null;
  const speedText = (row) =>
    payload.on_gpu
      ? format.rate(speedOf(row))
      : isKnown(speedOf(row))
        ? `${format.fixed(speedOf(row))} GFLOP/s`
        : DASH;
  const partsOf = (row) => row.parts.filter((part) => part[partTime]);
  const hasParts = rows.some((row) => partsOf(row).length);

  let wanted = payload.on_gpu ? "part" : "kind";
  const ofParts = () => wanted === "part" && hasParts && (!payload.on_gpu || modules.isMain());
  const basis = () => (ofParts() && !payload.on_gpu ? _("over the whole trace") : basisWord());

  const selectedSlot = () => {
    const block = state.selected == null ? null : (modules.block(state.selected) ?? state.selected);
    return slotOf.get(block) ?? -1;
  };

  let zoom = { start: 0, end: 100 };
  const zoomed = slots.length > 60;
  const canZoom = () => zoomed && !isPrinting;
  /** How wide a block stands, px; too narrow for patterns and lines, bars have colours alone and lines their dots. */
  const bandWidth = () =>
    ((Math.max(100, view.clientWidth - 140) / slots.length) * 100) /
    (canZoom() ? zoom.end - zoom.start : 100);
  const isNarrow = () => bandWidth() < 8;

  /** Bars, as [name of their series, text, look, times by slot]. */
  const bars = () => {
    const whole = slots.map((row) => (row && !partsOf(row).length ? timeOf(row) : null));
    const found = ofParts()
      ? [
          ...partNames.map((name) => [
            `part ${name}`,
            partWord(name),
            barStyle(colours.part(name), patternOf(name)),
            slots.map((row) => row?.parts.find((part) => part.part === name)?.[partTime] ?? null),
          ]),
          ["whole", _("not known by part"), barStyle("transparent"), whole],
        ]
      : kinds.map((kind) => [
          `kind ${kind}`,
          kindWord(kind),
          barStyle(kindColours.get(kind), patternOf(kind)),
          slots.map((row) => (row && row.kind === kind ? timeOf(row) : null)),
        ]);
    return found.filter(([, , , times]) => times.some((time) => time));
  };

  /** Efficiency, a line for each kind of a stack: between kinds it would only jump. */
  const speedLines = (colour) => {
    const size = Math.max(3, Math.min(8, bandWidth() / 2)),
      width = isNarrow() ? 0 : 1;
    return stacks
      .flatMap((stack) =>
        kinds.map((kind) =>
          slots.map((row) => (row?.stack === stack && row.kind === kind ? speedOf(row) : null) ?? "-"),
        ),
      )
      .filter((speeds) => speeds.some(isKnown))
      .flatMap((data) => {
        const line = {
          type: "line",
          name: "speed",
          yAxisIndex: 1,
          silent: true,
          connectNulls: true,
          showAllSymbol: true,
          symbol: "diamond",
          data,
        };
        // A rim keeps the line readable in front of bars of any colour.
        const rim = cssColour("--card");
        return [
          {
            ...line,
            symbolSize: size + 2,
            itemStyle: { color: rim },
            lineStyle: { color: rim, width: 3 * width },
            z: 4,
          },
          {
            ...line,
            symbolSize: size,
            itemStyle: { color: colour },
            lineStyle: { color: colour, width },
            z: 5,
          },
        ];
      });
  };

  const hintOf = (row) => {
    const own = figures(row),
      whole = payload.phases.length ? `, ${_("over the whole trace")}` : "";
    const parts = ofParts()
      ? partsOf(row).map((part) => [`· ${partWord(part.part)}`, format.duration(part[partTime])])
      : [];
    return hint(row.path, [
      [_("Kind"), partWord(row.kind)],
      [_("Block number"), format.count(row.index)],
      [`${timeWord()}, ${basisWord()}`, format.duration(timeOf(row))],
      ofParts() && basis() !== basisWord()
        ? [`${timeWord()}, ${basis()}`, format.duration(row.cpu_time_us)]
        : null,
      ...parts,
      [
        payload.per_pass ? _("Matrix FLOPs per pass") : _("Matrix FLOPs"),
        format.flops(own[payload.per_pass ? "matrix_flops_per_pass" : "matrix_flops"]),
      ],
      [_("Efficiency"), speedText(row)],
      payload.on_gpu ? [`${_("Bound reached")}${whole}`, boundText(row.bound_share, row.beats_bound)] : null,
      payload.on_gpu ? [`${_("Limited by")}${whole}`, limitWord(row.limited_by)] : null,
      [_("Parameters"), format.count(row.parameters)],
    ]);
  };

  /** Headings of the stacks, a strip of the kinds and the mark of the selected block, around the bars. */
  const marks = (showsKinds) => {
    const text = cssColour("--text"),
      line = cssColour("--line");
    const selected = selectedSlot();
    const data = [
      ...stackRuns.map(([from, to, row]) => ({ value: [from, to, 0], what: "stack", text: row.stack })),
      ...(showsKinds ? kindRuns : []).map(([from, to, row]) => ({
        value: [from, to, 0],
        what: "kind",
        text: partWord(row.kind),
        colour: kindColours.get(row.kind),
      })),
      ...(selected < 0 ? [] : [{ value: [selected, selected, 0], what: "selected" }]),
    ];
    return {
      type: "custom",
      id: "marks",
      silent: true,
      z: 1,
      clip: false,
      data,
      encode: { x: [0, 1], y: 2 },
      renderItem: (params, api) => {
        const { what, text: name, colour } = data[params.dataIndex];
        const { x, y, width, height } = params.coordSys;
        const half = api.size([1, 0])[0] / 2;
        const left = Math.max(x, api.coord([api.value(0), 0])[0] - half);
        const right = Math.min(x + width, api.coord([api.value(1), 0])[0] + half);
        if (right <= left) return null;
        if (what === "selected") {
          return {
            type: "rect",
            shape: { x: left, y, width: right - left, height },
            style: { fill: cssColour("--accent-soft"), stroke: cssColour("--accent"), lineWidth: 1 },
          };
        }
        const isStack = what === "stack";
        const letters = Math.floor((right - left - 6) / 7);
        const top = isStack ? y - 20 : y + height + 22;
        const label = {
          type: "text",
          style: {
            text: letters > 0 ? (letters < 3 ? Array.from(name)[0] : elide(name, letters)) : "",
            x: (left + right) / 2,
            y: top + 8,
            align: "center",
            verticalAlign: "middle",
            font: chartFont(),
            fill: isStack ? text : readable(colour),
          },
        };
        const box = isStack
          ? {
              type: "polyline",
              shape: {
                points: [
                  [left + 1, y - 3],
                  [left + 1, y - 7],
                  [right - 1, y - 7],
                  [right - 1, y - 3],
                ],
              },
              style: { stroke: line, fill: "none" },
            }
          : {
              type: "rect",
              shape: { x: left + 0.5, y: top, width: Math.max(1, right - left - 1), height: 16 },
              style: { fill: colour },
            };
        return { type: "group", children: [box, label] };
      },
    };
  };

  const build = () => {
    const series = bars(),
      byParts = ofParts();
    const showsKinds = byParts && kinds.length > 1;
    const hasSpeed = rows.some((row) => isKnown(speedOf(row)));
    const sums = slots.map((_unused, slot) =>
      series.reduce((sum, [, , , times]) => sum + (times[slot] ?? 0), 0),
    );
    const [scale, unit] = durationUnit(Math.max(...sums));
    const speedName = payload.on_gpu ? _("Efficiency (TFLOP/s)") : _("Efficiency (GFLOP/s, CPU time)");
    const text = cssColour("--text");
    const legend = legendAbove(
      [
        ...series.map(([name, shown, itemStyle]) => ({ name, text: shown, icon: "rect", itemStyle })),
        ...(hasSpeed
          ? [{ name: "speed", text: speedName, icon: "diamond", itemStyle: { color: text } }]
          : []),
      ],
      view.clientWidth,
    );
    const top = legend.height + (stackRuns.length ? 30 : 12);
    const bottom = 48 + (showsKinds ? 22 : 0) + (canZoom() ? 28 : 0);
    return {
      aria: { enabled: true, label: { enabled: false }, decal: { show: true } },
      legend: legend.option,
      grid: { left: 84, right: hasSpeed ? 70 : 16, top, bottom },
      tooltip: {
        trigger: "axis",
        axisPointer: { type: "shadow", shadowStyle: { color: "rgba(128,128,128,.15)" } },
        formatter: (found) => {
          const row = slots[found[0]?.dataIndex];
          return row ? hintOf(row) : "";
        },
      },
      xAxis: {
        ...axisStyle(),
        type: "category",
        data: slots.map((_unused, slot) => String(slot)),
        axisTick: { show: false },
        splitLine: { show: false },
        axisLabel: { color: text, formatter: (slot) => (slots[slot] ? format.count(slots[slot].index) : "") },
        name: _("Block number"),
        nameLocation: "middle",
        nameGap: showsKinds ? 44 : 26,
      },
      yAxis: [
        {
          ...axisStyle(),
          type: "value",
          boundaryGap: [0, "4%"],
          name: `${timeWord()} (${unit})\n${basis()}`,
          nameLocation: "middle",
          nameGap: 46,
          nameTextStyle: { color: text, lineHeight: 16 },
          axisLabel: { color: text, formatter: (value) => tickText(value / scale) },
        },
        {
          ...axisStyle(),
          type: "value",
          show: hasSpeed,
          min: 0,
          boundaryGap: [0, "4%"],
          name: speedName,
          nameLocation: "middle",
          nameGap: 50,
          splitLine: { show: false },
          axisLabel: { color: text, formatter: tickText },
        },
      ],
      dataZoom: canZoom()
        ? zoomOptions(zoom, (slot) => (slots[slot] ? format.count(slots[slot].index) : ""))
        : [],
      series: [
        ...series.map(([name, , itemStyle, times]) => ({
          type: "bar",
          name,
          stack: "time",
          data: times,
          barCategoryGap: "16%",
          barMaxWidth: 72,
          itemStyle,
          z: 3,
        })),
        ...speedLines(text),
        marks(showsKinds),
      ],
    };
  };

  if (!rows.some((row) => timeOf(row) || row[`${side}_time_us`])) {
    sayInstead(view, () => _("No block launched anything on the GPU."));
    return;
  }
  const note = element("p", { class: "note", id: "blocks-note" });
  const write = () => {
    note.textContent =
      payload.on_gpu && hasParts && wanted === "part" && !modules.isMain()
        ? fill(_("Parts of blocks are known of the passes of {phase} only: these are whole blocks."), {
            phase: payload.phase_names[payload.main_phase],
          })
        : payload.on_gpu && ofParts() && payload.time.passes > 2
          ? _("The time of a part is a median of its own: parts need not add up to the median of the block.")
          : "";
  };
  if (hasParts) {
    makeSelect(controls, {
      label: () => _("Bars"),
      options: () => [
        ["part", _("by part of the block")],
        ["kind", _("by kind of the block")],
      ],
      value: () => wanted,
      onchange: (value) => {
        wanted = value;
        made.redraw();
        write();
      },
    }).id = "blocks-bars";
  }
  view.append(note);
  onChange(["selected"], () => {
    zoom = zoomAround(zoom, selectedSlot(), slots.length);
  });
  const made = makeChart(view, {
    fluid: true,
    height: () => 400 + (stackRuns.length ? 18 : 0) + (kinds.length > 1 ? 22 : 0) + (zoomed ? 34 : 0),
    build,
    label: () =>
      fill(_("{blocks}: {time}, {basis}"), {
        blocks: ngettext("{n} block", "{n} blocks", rows.length),
        time: timeWord(),
        basis: basis(),
      }),
    follows: ["selected"],
  });
  made.box.id = "blocks-chart";
  onChange(["language", "phase"], write);
  write();
  let settled = null;
  made.chart.on("datazoom", () => {
    const { start, end } = made.chart.getOption().dataZoom[0],
      before = bandWidth();
    zoom = { start, end };
    clearTimeout(settled);
    if (bandWidth() !== before) settled = setTimeout(made.redraw, 250);
  });
  const choose = (slot) => {
    if (slots[slot]?.module != null) select(slots[slot].module, "blocks");
  };
  onColumn(made.chart, choose);
  makeWalkable(made, {
    count: () => rows.length,
    at: () => rows.findIndex((row) => row.module != null && row.module === slots[selectedSlot()]?.module),
    go: (i) => choose(slots.indexOf(rows[i])),
  });
};
