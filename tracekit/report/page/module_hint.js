// What a hint says of a module, wherever it is drawn.

/** The share of a pass, or of a trace without passes, that module `i` takes: of its GPU time, or else of its wall time. */
const passShare = (i) => {
  const of = (gpu, wall) => (payload.on_gpu ? gpu : wall);
  const phase = modules.isMain() ? -1 : payload.phase_rows.name.indexOf(state.phase);
  const whole = !modules.isMain()
    ? of(payload.phase_rows.gpu_time_us, payload.phase_rows.pass_wall_us)?.[phase]
    : payload.per_pass
      ? of(payload.time.gpu_time_per_pass_us, payload.time.pass_wall_us)
      : of(payload.time.gpu_time_us, null);
  const time = modules.time(i);
  return isKnown(time) && whole ? time / whole : null;
};

/** The hint of module `i`; `more` are further lines. */
const moduleHint = (i, more = []) => {
  const figure = (name) => modules.figure(name, i);
  return hint(modules.path(i) || modules.label(i), [
    [_("Type"), elide(modules.type(i) ?? DASH, 200)],
    [
      `${timeWord()}, ${payload.per_pass ? basisWord() : _("over the whole trace")}`,
      format.duration(modules.time(i)),
    ],
    [_("self time, without modules inside"), format.duration(modules.selfTime(i))],
    payload.has_backward ? [_("GPU time of its backward"), format.duration(modules.backwardTime(i))] : null,
    [payload.per_pass ? _("Share of a pass") : _("Share of the trace"), format.percent(passShare(i))],
    payload.on_gpu ? [_("Achieved"), format.rate(figure("tflops"))] : null,
    payload.on_gpu ? [_("Bound reached"), boundText(figure("bound_share"), figure("beats_bound"))] : null,
    payload.on_gpu ? [_("Limited by"), limitWord(figure("limited_by"))] : null,
    ...more,
  ]);
};
