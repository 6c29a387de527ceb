// The figures of the selected module, in a strip at the foot of the window: it hides no column of what is above it,
// and the page can be scrolled past it.

const CHILDREN_LISTED = 5;

/** Moves the focus to the strip; it goes back to where it was when the strip is closed. */
const focusInspector = () => document.querySelector("#inspector .close")?.focus();

/** Pairs of label and value of a module, as far as such a report has them. */
const inspectorLines = (i) => {
  const figure = (name) => modules.figure(name, i);
  const { on_gpu: onGpu, phases } = payload;
  const gbs = figure("gbs");
  const per = payload.per_pass ? basisWord() : _("over the whole trace");
  return [
    [`${timeWord()}, ${per}`, format.duration(modules.time(i))],
    [_("self time, without modules inside"), format.duration(modules.selfTime(i))],
    payload.has_backward ? [_("GPU time of its backward"), format.duration(modules.backwardTime(i))] : null,
    onGpu
      ? [
          payload.per_pass ? _("To be won, per pass") : _("To be won, over the whole trace"),
          format.duration(figure(payload.per_pass ? "headroom_per_pass_us" : "headroom_us")),
        ]
      : null,
    onGpu ? [_("Achieved"), format.rate(figure("tflops"))] : null,
    onGpu ? [_("Bound reached"), boundText(figure("bound_share"), figure("beats_bound"))] : null,
    onGpu ? [_("Limited by"), limitWord(figure("limited_by"))] : null,
    onGpu ? [_("Memory traffic"), isKnown(gbs) ? `${format.fixed(gbs, 1)} ${_("GB/s")}` : DASH] : null,
    [_("FLOPs per byte"), format.fixed(figure("arithmetic_intensity"))],
    [
      phases.length ? _("Calls, in the passes of this phase") : _("Calls, over the whole trace"),
      format.count(figure("calls")),
    ],
    onGpu ? [_("Kernels, over the whole trace"), format.count(figure("kernels"))] : null,
    [_("Matrix FLOPs, over the whole trace"), format.flops(figure("matrix_flops"))],
    [_("Parameters"), format.count(figure("parameters"))],
    onGpu ? [_("CPU time, over the whole trace"), format.duration(figure("cpu_time_us"))] : null,
    onGpu ? [_("The GPU waits for its launches"), format.duration(figure("gpu_idle_us"))] : null,
    figure("allocated_bytes") != null
      ? [_("Allocated in a pass"), format.bytes(figure("allocated_bytes"))]
      : null,
  ].filter((line) => line);
};

/** The modules inside with most time, as links with a bar of their share of it. */
const inspectorChildren = (i) => {
  const timed = modules
    .children(i)
    .map((child) => [child, modules.time(child) ?? 0])
    .filter(([, us]) => us > 0);
  timed.sort((a, b) => b[1] - a[1] || a[0] - b[0]);
  const whole = modules.time(i);
  return timed
    .slice(0, CHILDREN_LISTED)
    .map(([child, us]) =>
      element(
        "li",
        {},
        element(
          "button",
          { type: "button", class: "link", onclick: () => select(child) },
          nameCell(modules.label(child), 60, modules.path(child)),
        ),
        barCell(format.duration(us), whole ? us / whole : 0, null, whole ? format.share(us / whole) : null),
      ),
    );
};

const inspectorCrumbs = (i) => {
  const crumbs = element("div", {
    class: "crumbs",
    role: "navigation",
    "aria-label": _("The modules around it"),
  });
  for (const at of modules.chain(i).slice(0, -1)) {
    crumbs.append(
      element(
        "button",
        { type: "button", class: "link", onclick: () => select(at) },
        nameCell(modules.label(at), 40),
      ),
      " › ",
    );
  }
  return crumbs;
};

const startInspector = () => {
  const panel = document.getElementById("inspector");
  let isFolded = false,
    cameFrom = null;
  const body = element("div", { class: "inspector-body" });
  const title = element("h2", { role: "status" });
  const fold = element("button", {
    type: "button",
    class: "fold",
    "aria-expanded": "true",
    onclick: () => {
      isFolded = !isFolded;
      draw();
    },
  });
  const close = element("button", { type: "button", class: "close", onclick: () => leave() }, "×");
  const crumbsPlace = element("div", { class: "crumbs-place" });
  panel.append(element("div", { class: "inspector-head" }, crumbsPlace, title, fold, close), body);
  const leave = () => {
    const hadFocus = panel.contains(document.activeElement);
    select(null);
    if (hadFocus && cameFrom?.isConnected) cameFrom.focus();
  };
  panel.addEventListener("focusin", (event) => {
    if (event.relatedTarget && !panel.contains(event.relatedTarget)) cameFrom = event.relatedTarget;
  });
  const draw = () => {
    const i = state.selected;
    panel.hidden = i == null;
    if (i == null) return reserve();
    const hadFocus = panel.contains(document.activeElement);
    panel.setAttribute("aria-label", _("The selected module"));
    for (const [button, word] of [
      [fold, isFolded ? _("Unfold") : _("Fold")],
      [close, _("Close")],
    ]) {
      button.title = word;
      button.setAttribute("aria-label", word);
    }
    fold.textContent = isFolded ? "▴" : "▾";
    fold.setAttribute("aria-expanded", String(!isFolded));
    crumbsPlace.replaceChildren(inspectorCrumbs(i));
    const type = modules.type(i);
    title.replaceChildren(
      nameCell(modules.label(i), 80, modules.path(i)),
      " ",
      type == null ? "" : element("span", { class: "type" }, swatch(colours.type(type)), nameCell(type, 60)),
    );
    body.hidden = isFolded;
    const children = inspectorChildren(i);
    body.replaceChildren(
      element(
        "dl",
        {},
        ...inspectorLines(i).map(([name, value]) =>
          element("div", {}, element("dt", {}, name), element("dd", {}, element("bdi", {}, value))),
        ),
      ),
      children.length
        ? element(
            "div",
            { class: "inside" },
            element("h3", {}, _("Most time inside it")),
            element("ol", {}, ...children),
          )
        : "",
      element("p", { class: "path" }, element("bdi", {}, elide(modules.path(i), 600))),
    );
    if (hadFocus && !panel.contains(document.activeElement)) close.focus();
    return reserve();
  };
  /** Leaves as much room under the page as the strip takes, so that nothing stays hidden. */
  const reserve = () => {
    document.body.style.paddingBottom = panel.hidden ? "" : `${panel.offsetHeight + 24}px`;
  };
  onChange(["selected", "language", "phase"], draw);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.defaultPrevented && state.selected != null) leave();
  });
};
