// The GPU in one pass: what each stream runs, the modules that launched it, and the gaps in which nothing runs.

const startTimeline = (view, controls) => {
  const { timeline } = payload,
    { events } = timeline;
  const found = timelineLanes(timeline),
    { lanes } = found;
  const ROW = 20,
    LEFT = found.devices > 1 ? 140 : 104,
    RIGHT = 16,
    TOP = 4,
    BOTTOM = 78;
  const whole = Math.max(timeline.wall_us, ...lanes.map((lane) => lane.reached.at(-1) ?? 0));
  let zoom = { from: 0, to: whole },
    seen = null;

  // Of each module whether it or one around it is selected; null where that has nothing to do with what is drawn.
  let marked = null;
  const mark = () => {
    marked = null;
    if (state.selected == null) return;
    const within = new Uint8Array(modules.count),
      waiting = [state.selected];
    while (waiting.length) {
      const i = waiting.pop();
      within[i] = 1;
      for (const child of modules.children(i)) waiting.push(child);
    }
    if (events.module.some((i) => i != null && within[i])) marked = within;
  };
  const isMarked = (lane, at) => marked != null && lane.module[at] != null && marked[lane.module[at]] === 1;

  const laneName = (lane) => {
    const where = found.devices > 1 ? `GPU ${lane.device}: ` : "";
    if (lane.kind === "gaps") return `${where}${_("idle")}`;
    if (lane.kind === "events") return `${where}${fill(_("stream {stream}"), { stream: lane.stream })}`;
    return lane.level ? "" : _("modules");
  };

  // Where no module is known, colours stand for the busiest kernels.
  const kernelColours = modules.count ? new Map() : busiestKernels(timeline);
  const colourOf = (lane, at) =>
    lane.module[at] == null
      ? (kernelColours.get(events.kernel[lane.row[at]]) ?? (modules.count ? null : colours.grey))
      : colours.of(lane.module[at]);
  const plainStyle = once((colour, isDim) => ({ fill: colour, opacity: isDim ? 0.25 : 1 }));
  const hatchedStyle = once((colour, pattern, isDim) => ({
    fill: hatchedFill(colour, pattern),
    opacity: isDim ? 0.5 : 1,
  }));
  const styleOf = (lane, at, isDim) => {
    if (lane.kind === "gaps") return hatchedStyle(...causeOf(timeline.gaps[lane.row[at]]).slice(1), isDim);
    const colour = colourOf(lane, at);
    return colour == null ? hatchedStyle(colours.grey, "\\", isDim) : plainStyle(colour, isDim);
  };
  const labelOf = (lane, at) => {
    if (lane.kind === "gaps") return format.duration(timeline.gaps[lane.row[at]].duration_us);
    return lane.kind === "events"
      ? timeline.short[events.kernel[lane.row[at]]]
      : modules.label(lane.module[at]);
  };
  const place = (number, x, width) => ({
    x,
    y: seen.top + number * ROW + 1,
    width: Math.max(1, width > 3 ? width - 1 : width),
    height: ROW - 2,
  });

  const renderItem = (params, api) => {
    const number = params.dataIndex,
      lane = lanes[number],
      { x: left, y: top, width, height } = params.coordSys;
    const [origin] = api.coord([0, number]),
      scale = (api.coord([whole, number])[0] - origin) / whole;
    seen = { left, top, right: left + width, from: (left - origin) / scale, scale, height };
    const text = cssColour("--text"),
      halo = cssColour("--card"),
      rectangles = makeRectangles(),
      labels = [];
    const outline = { fill: "none", stroke: text, lineWidth: 1.5 };
    const weight = (at) => lane.end[at] - lane.start[at] + (isMarked(lane, at) ? whole : 0);
    eachSeen(lane, seen, weight, (at, x, wide, share) => {
      const isBright = isMarked(lane, at),
        isDim = marked != null && !isBright,
        shape = place(number, x, wide);
      // Many short gaps are less than one long one.
      const height = lane.kind === "gaps" ? Math.max(3, share * shape.height) : shape.height;
      rectangles.add(styleOf(lane, at, isDim), { ...shape, y: shape.y + shape.height - height, height });
      if (isBright && wide > 4 && (lane.kind === "events" || lane.module[at] === state.selected)) {
        rectangles.add(outline, {
          x: shape.x + 0.75,
          y: shape.y + 0.75,
          width: shape.width - 1.5,
          height: shape.height - 1.5,
        });
      }
      if (wide < 24) return;
      const colour = lane.kind === "gaps" || isDim ? null : colourOf(lane, at);
      labels.push(
        labelIn(
          labelOf(lane, at),
          colour == null ? { fill: text, halo, whole: lane.kind === "gaps" } : { fill: readable(colour) },
          shape,
        ),
      );
    });
    const ground = {
      type: "rect",
      shape: { x: left, y: top + number * ROW, width, height: ROW },
      style: { fill: "transparent" },
    };
    return {
      type: "group",
      emphasisDisabled: true,
      children: [ground, ...rectangles.shapes(), ...labels.filter((one) => one)],
    };
  };

  const hintOf = (one) => (one ? timelineHint(timeline, one.lane, one.at) : "");
  const windows = () => {
    const shared = {
      xAxisIndex: 0,
      filterMode: "none",
      startValue: zoom.from,
      endValue: zoom.to,
      minValueSpan: Math.min(whole, 2),
      throttle: 20,
    };
    return [
      { ...shared, type: "inside", moveOnMouseWheel: false },
      {
        ...shared,
        type: "slider",
        show: !isPrinting,
        height: 20,
        bottom: 6,
        brushSelect: false,
        showDataShadow: false,
        borderColor: cssColour("--line"),
        fillerColor: "rgba(128,128,128,.25)",
        textStyle: { color: cssColour("--text") },
        labelFormatter: (value) => tickText(Math.round(value) / 1e3),
      },
    ];
  };
  let made = null;
  /** The text of a tick, and none of that at the left edge, which is no round number. */
  const axisText = (us) => {
    const edge = made?.chart.convertFromPixel({ xAxisIndex: 0 }, LEFT) ?? 0;
    return us > 0 && Math.abs(us - edge) * (seen?.scale ?? 1) < 1 ? "" : tickText(us / 1e3);
  };
  const build = () => {
    mark();
    return {
      tooltip: { formatter: () => hintOf(pointer.found()), transitionDuration: 0 },
      grid: { left: LEFT, right: RIGHT, top: TOP, bottom: BOTTOM },
      xAxis: {
        ...axisStyle(),
        type: "value",
        min: 0,
        max: whole,
        name:
          timeline.pass_index == null
            ? _("ms since the first GPU event")
            : _("ms since the start of the pass"),
        nameLocation: "middle",
        nameGap: 24,
        axisLabel: {
          color: cssColour("--text"),
          formatter: axisText,
          hideOverlap: true,
          showMaxLabel: false,
        },
      },
      yAxis: {
        ...axisStyle(),
        type: "category",
        inverse: true,
        data: [...lanes.keys()],
        axisTick: { show: false },
        axisLabel: {
          color: cssColour("--text"),
          interval: 0,
          fontSize: 12,
          width: LEFT - 14,
          overflow: "truncate",
          formatter: (number) => laneName(lanes[number]),
        },
      },
      dataZoom: windows(),
      series: [
        {
          type: "custom",
          data: lanes.map((_unused, number) => [0, whole, number]),
          encode: { x: [0, 1], y: 2 },
          renderItem,
          clip: true,
        },
      ],
    };
  };

  /** Shows from `from` to `to` µs, moved so that it lies within the whole. */
  const zoomTo = (from, to) => {
    const span = Math.min(whole, Math.max(2, to - from)),
      start = Math.max(0, Math.min(whole - span, from));
    pointer.forget();
    made.chart.dispatchAction({ type: "dataZoom", startValue: start, endValue: start + span });
  };
  const showAround = (start, end) => zoomTo(start - 4 * (end - start) - 20, end + 4 * (end - start) + 20);
  /** From the first to the last event of the selected module; null without one. */
  const extentOfMarked = () => {
    const own =
      marked == null
        ? []
        : [...events.module.keys()].filter((at) => events.module[at] != null && marked[events.module[at]]);
    return own.length
      ? [events.start_us[own[0]], events.start_us[own.at(-1)] + events.duration_us[own.at(-1)]]
      : null;
  };
  const choose = ({ lane, at }) => {
    if (lane.module[at] != null) select(lane.module[at], "timeline");
  };

  if (modules.count) makeColourSelect(controls);
  const reset = element("button", { type: "button", id: "timeline-reset", onclick: () => zoomTo(0, whole) });
  controls.append(reset);
  makeLegend(view, () => [
    ...(modules.count
      ? [...colourEntries(), [_("outside modules"), hatchedBackground(colours.grey, "\\")]]
      : [
          ...[...kernelColours].map(([kernel, colour]) => [timeline.short[kernel], `background:${colour}`]),
          [_("other kernels"), `background:${colours.grey}`],
        ]),
    ...Object.values(gapCauses()).map(([text, colour, pattern]) => [
      `${_("idle")}: ${text}`,
      hatchedBackground(colour, pattern),
    ]),
  ]);
  made = makeChart(view, {
    height: () => lanes.length * ROW + TOP + BOTTOM,
    build,
    label: () => `${_("The GPU in one pass")}. ${timelineSentences(timeline, found)}`,
    follows: ["selected", "colour"],
    takesWheel: true,
  });
  made.box.id = "timeline-chart";
  made.box.tabIndex = 0;
  made.box.setAttribute("role", "application");
  made.box.setAttribute("aria-describedby", "timeline-keys");
  const pointer = followPointer(made, {
    find: (x, y) => {
      const number = Math.floor((y - seen.top) / ROW),
        lane = lanes[number];
      const at = lane && x >= seen.left && x < seen.right ? laneAt(lane, seen, x) : null;
      return at == null ? null : { lane, number, at };
    },
    choose,
    frame: ({ lane, number, at }) => {
      const x = Math.max(seen.left, seen.left + (lane.start[at] - seen.from) * seen.scale);
      return place(number, x, Math.min(seen.right, seen.left + (lane.end[at] - seen.from) * seen.scale) - x);
    },
  });
  made.chart.on("datazoom", () => {
    const { startValue, endValue } = made.chart.getOption().dataZoom[0];
    zoom = { from: startValue, to: endValue };
    pointer.forget();
  });
  made.chart.getZr().on("dblclick", () => zoomTo(0, whole));
  const note = element("p", { class: "note", id: "timeline-note" }),
    keys = element("p", { class: "note", id: "timeline-keys" });
  const write = () => {
    reset.textContent = timeline.pass_index == null ? _("Whole trace") : _("Whole pass");
    note.textContent = timelineSentences(timeline, found);
    keys.textContent = _(
      "Dragging and the arrow keys move, the wheel with Ctrl (or alone after a click into the chart), plus and minus zoom, Enter goes to the selected module, Home and a double click show everything.",
    );
  };
  write();
  view.append(note, keys);
  listGaps(view, timeline.gaps, (gap) => showAround(gap.start_us, gap.start_us + gap.duration_us));
  onChange(["language"], write);
  // What is selected elsewhere comes into sight.
  onChange(["selected"], () => {
    pointer.forget();
    const isSeen = (i, at) =>
      i != null &&
      marked[i] &&
      events.start_us[at] < zoom.to &&
      events.start_us[at] + events.duration_us[at] > zoom.from;
    if (marked == null || selectedFrom === "timeline" || events.module.some(isSeen)) return;
    const [start] = extentOfMarked(),
      span = zoom.to - zoom.from;
    zoomTo(start - span / 10, start + span * 0.9);
  });
  made.box.addEventListener("keydown", (event) => {
    const { from, to } = zoom,
      span = to - from,
      middle = (from + to) / 2;
    const actions = {
      ArrowLeft: () => zoomTo(from - span / 5, to - span / 5),
      ArrowRight: () => zoomTo(from + span / 5, to + span / 5),
      "+": () => zoomTo(middle - span / 4, middle + span / 4),
      "-": () => zoomTo(middle - span, middle + span),
      Home: () => zoomTo(0, whole),
      Enter: () => {
        if (marked != null) zoomTo(...extentOfMarked());
      },
    };
    actions["="] = actions["+"];
    if (!actions[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    actions[event.key]();
  });
};
