// What is said of the timeline: hints, the sentences below it, and the list of its longest gaps.

const momentText = (us) => `${format.milliseconds(us)} ${_("ms")}`;
const streamText = ({ device, stream }) => fill(_("stream {stream} of device {device}"), { stream, device });
const moduleText = (i) =>
  i == null ? _("outside modules") : elide(modules.path(i) || modules.label(i), 300);

/** The hint of what stands at position `at` of a lane. */
const timelineHint = ({ events, gaps, kernels, short }, lane, at) => {
  const row = lane.row[at],
    module = lane.module[at];
  if (lane.kind === "modules") {
    return moduleHint(module, [
      [_("Here, from its first event to its last"), format.duration(lane.end[at] - lane.start[at])],
      [_("GPU events here"), format.count(lane.count[at])],
    ]);
  }
  if (lane.kind === "gaps") {
    const gap = gaps[row];
    return hint(`${_("idle")}: ${causeOf(gap)[0]}`, [
      [_("Duration"), format.duration(gap.duration_us)],
      [_("Begins at"), momentText(gap.start_us)],
      gap.call == null ? null : [_("Call that waited"), elide(gap.call, 200)],
      [_("Ended by work of"), moduleText(gap.module)],
    ]);
  }
  const name = events.kernel[row],
    isSeveral = events.count[row] > 1;
  return hint(elide(short[name], 120), [
    isSeveral ? [_("GPU events drawn as one, this is the longest"), format.count(events.count[row])] : null,
    [_("Duration"), format.duration(events.duration_us[row])],
    [_("Begins at"), momentText(events.start_us[row])],
    [_("Runs on"), elide(streamText(lane), 100)],
    [_("Module"), moduleText(module)],
    module == null ? null : [_("Type"), elide(modules.type(module) ?? DASH, 200)],
    module == null ? null : [_("Limited by"), limitWord(modules.figure("limited_by", module))],
    kernels[name] === short[name] && short[name].length <= 120
      ? null
      : [_("Whole name"), elide(kernels[name], 300)],
  ]);
};

/** Sentences about what is drawn: which pass, how busy the device is, and what had no room. */
const timelineSentences = (
  { pass_index: index, events, gaps, gaps_left_out: left, gaps_left_out_us: leftUs },
  { devices, left: streamsLeft },
) => {
  const pass = index == null ? null : rowsOf(payload.passes).find((one) => one.index === index);
  const { gpu_busy_us: busy, gpu_idle_us: idle } = pass ?? payload.time;
  const wall = pass ? pass.wall_us : payload.time.gpu_span_us;
  // Of several devices the times are added up, and no share of a wall time.
  const part = (us) =>
    devices === 1 && wall ? `${format.duration(us)} (${format.percent(us / wall)})` : format.duration(us);
  const phase =
    pass?.phase == null || !payload.phases.length
      ? ""
      : ` (${payload.phase_names[pass.phase] ?? pass.phase})`;
  const values = { index, phase, wall: format.duration(wall), busy: part(busy), idle: part(idle) };
  const all = events.count.reduce((sum, count) => sum + count, 0),
    drawn = events.count.length;
  return [
    pass
      ? fill(
          _(
            "Pass {index}{phase}: wall time {wall}; the GPU is busy for {busy} and idle between its events for {idle}.",
          ),
          values,
        )
      : fill(
          _(
            "The whole trace: {wall} from the first GPU event to the last; the GPU is busy for {busy} and idle for {idle}.",
          ),
          values,
        ),
    ngettext("{n} gap is drawn.", "{n} gaps are drawn.", gaps.length),
    left
      ? fill(
          ngettext("{n} shorter gap is left out: {time}.", "{n} shorter gaps are left out: {time}.", left),
          { time: format.duration(leftUs) },
        )
      : null,
    all > drawn
      ? fill(_("{events} are drawn as {drawn}: those of one module in a row are one."), {
          events: ngettext("{n} GPU event", "{n} GPU events", all),
          drawn: format.count(drawn),
        })
      : null,
    streamsLeft
      ? ngettext(
          "{n} stream with less work is left out.",
          "{n} streams with less work are left out.",
          streamsLeft,
        )
      : null,
    pass && payload.time.passes > 1
      ? _("Where there is neither an event nor a gap, the device runs work of other passes.")
      : null,
  ]
    .filter((sentence) => sentence)
    .join(" ");
};

/** Keeps a list of the longest gaps in `view`; `show(gap)` brings one into sight. */
const listGaps = (view, gaps, show) => {
  const LISTED = 8;
  const longest = [...gaps]
    .sort((a, b) => b.duration_us - a.duration_us || a.start_us - b.start_us)
    .slice(0, LISTED);
  const title = element("h3"),
    list = element("table", { id: "timeline-gaps" });
  const columns = () => [
    [
      _("Duration"),
      (gap) => [
        element(
          "button",
          { type: "button", class: "link", title: _("Show it"), onclick: () => show(gap) },
          format.duration(gap.duration_us),
        ),
      ],
    ],
    [_("Begins at"), (gap) => [momentText(gap.start_us)]],
    ...(new Set(gaps.map((gap) => gap.device)).size > 1
      ? [[_("Device"), (gap) => [format.count(gap.device)]]]
      : []),
    [
      _("Why"),
      (gap) => {
        const [cause, colour, pattern] = causeOf(gap);
        return [element("i", { class: "swatch", style: hatchedBackground(colour, pattern) }), cause];
      },
    ],
    ...(longest.some((gap) => gap.module != null)
      ? [
          [
            _("Ended by work of"),
            ({ module }) => [
              module == null
                ? DASH
                : element(
                    "button",
                    { type: "button", class: "link", "data-module": module },
                    nameCell(modules.path(module) || modules.label(module), 70),
                  ),
            ],
          ],
        ]
      : []),
    ...(longest.some((gap) => gap.call != null)
      ? [[_("Call that waited"), ({ call }) => [call == null ? DASH : nameCell(call, 40)]]]
      : []),
  ];
  const draw = () => {
    title.textContent = _("Longest gaps");
    const shown = columns();
    list.replaceChildren(
      element(
        "thead",
        {},
        element("tr", {}, ...shown.map(([head]) => element("th", { scope: "col" }, head))),
      ),
      element(
        "tbody",
        {},
        ...longest.map((gap) =>
          element("tr", {}, ...shown.map(([, cell]) => element("td", {}, ...cell(gap)))),
        ),
      ),
    );
  };
  if (!longest.length) return;
  draw();
  onChange(["language"], draw);
  view.append(title, element("div", { class: "scrolls" }, list));
};
