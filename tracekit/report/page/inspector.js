// The figures of the selected module, in a panel that stays in sight.

const startInspector = () => {
  const panel = document.getElementById("inspector");
  const lines = (i) => {
    const figure = (name) => modules.figure(name, i);
    const per = payload.per_pass ? basisWord() : _("over the whole trace");
    return [
      [_("Type"), modules.type(i) ?? DASH],
      [`${timeWord()}, ${per}`, format.duration(modules.time(i))],
      [_("self time, without modules inside"), format.duration(modules.selfTime(i))],
      payload.has_backward ? [_("GPU time of its backward"), format.duration(modules.backwardTime(i))] : null,
      payload.on_gpu ? [_("CPU time, over the whole trace"), format.duration(figure("cpu_time_us"))] : null,
      [_("Calls, over the whole trace"), format.count(figure("calls"))],
      payload.on_gpu ? [_("Kernels, over the whole trace"), format.count(figure("kernels"))] : null,
      [_("Parameters"), format.count(figure("parameters"))],
      [_("Matrix FLOPs, over the whole trace"), format.flops(figure("matrix_flops"))],
      payload.on_gpu ? [_("Achieved"), format.rate(figure("tflops"))] : null,
      payload.on_gpu ? [_("Memory traffic"), isKnown(figure("gbs")) ? `${format.fixed(figure("gbs"), 1)} ${_("GB/s")}` : DASH] : null,
      [_("FLOPs per byte"), format.fixed(figure("arithmetic_intensity"))],
      payload.on_gpu ? [_("Bound reached"), boundText(figure("bound_share"), figure("beats_bound"))] : null,
      payload.on_gpu ? [_("Limited by"), limitWord(figure("limited_by"))] : null,
      payload.on_gpu ? [_("To be won, per pass"), format.duration(figure("headroom_per_pass_us"))] : null,
      payload.on_gpu ? [_("The GPU waits for its launches"), format.duration(figure("gpu_idle_us"))] : null,
      figure("allocated_bytes") != null ? [_("Allocated in a pass"), format.bytes(figure("allocated_bytes"))] : null,
    ].filter((line) => line);
  };
  const draw = () => {
    const i = state.selected;
    panel.hidden = i == null;
    if (i == null) return;
    const chain = modules.chain(i);
    const crumbs = element("p", { class: "crumbs" });
    chain.forEach((at, depth) => {
      if (depth) crumbs.append(" › ");
      crumbs.append(at === i
        ? element("b", {}, nameCell(modules.label(at), 60))
        : element("button", { type: "button", class: "link", onclick: () => select(at) }, nameCell(modules.label(at), 40)));
    });
    const table = element("table", {}, ...lines(i).map(([label, value]) =>
      element("tr", {}, element("th", { scope: "row" }, label), element("td", {}, element("bdi", {}, value)))));
    panel.replaceChildren(
      element("button", { type: "button", class: "close", "aria-label": _("Close"), title: _("Close"), onclick: () => select(null) }, "×"),
      crumbs, element("p", { class: "path" }, element("bdi", {}, elide(modules.path(i), 600))), table);
  };
  onChange(["selected", "language", "phase"], draw);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && state.selected != null) select(null);
  });
};
