// The report's modules as a tree, and their figures by name. Nothing here is rounded or added up.

const modules = (() => {
  const { count, parent, label, types, type, block, columns, phases } = payload.modules;
  const children = Array.from({ length: count }, () => []);
  const roots = [];
  for (let i = 0; i < count; i++) (parent[i] == null ? roots : children[parent[i]]).push(i);
  const paths = new Array(count),
    elsewhere = new Set(payload.modules.elsewhere);
  const path = (i) => {
    if (paths[i] === undefined) {
      const above = parent[i] == null || elsewhere.has(i) ? "" : path(parent[i]);
      paths[i] = above && label[i] ? `${above}.${label[i]}` : label[i] || above;
    }
    return paths[i];
  };
  const isMain = () => !payload.phases.length || state.phase === payload.main_phase;
  /** A figure of module `i` by its name in report.json; of the chosen phase, where it has figures of its own. */
  const figure = (name, i) => {
    if (payload.phases.length) {
      const found = phases[state.phase]?.[name];
      if (found !== undefined) return found?.[i] ?? null;
      if (!isMain() && name.endsWith("_per_pass_us")) return null;
    }
    return columns[name]?.[i] ?? null;
  };
  const suffix = payload.per_pass ? "_per_pass_us" : "_us";
  const side = payload.on_gpu ? "gpu" : "cpu";
  return {
    count,
    roots,
    types,
    figure,
    parent: (i) => parent[i],
    children: (i) => children[i],
    path,
    /** The last part of its path; the root of an unnamed model has its type. */
    label: (i) => label[i] || (type[i] == null ? _("the whole model") : types[type[i]]),
    type: (i) => (type[i] == null ? null : types[type[i]]),
    block: (i) => block[i],
    /** Time in µs with the modules inside, of the GPU where there is one; per pass where there are passes. */
    time: (i) => figure(`${side}_time${suffix}`, i),
    selfTime: (i) => figure(`${side}_self_time${suffix}`, i),
    backwardTime: (i) => figure(`gpu_backward_time${suffix}`, i),
    backwardSelfTime: (i) => figure(`gpu_backward_self_time${suffix}`, i),
    isMain,
    /** Its ancestors from the root down, itself last. */
    chain: (i) => {
      const found = [];
      for (let at = i; at != null; at = parent[at]) found.unshift(at);
      return found;
    },
  };
})();

const timeWord = () => (payload.on_gpu ? _("GPU time") : _("CPU time"));
/** "per pass (median of 5 passes)" and the like. */
const basisWord = () =>
  payload.basis[language][payload.phases.length ? (state.phase ?? "") : ""] ?? payload.basis[language][""];

const colours = (() => {
  const { series, grey, limits, parts } = payload.palette;
  // The types with most self time in the main phase have a colour of their own, always the same.
  const totals = new Map();
  for (let i = 0; i < modules.count; i++) {
    const name = modules.type(i);
    if (name != null) totals.set(name, (totals.get(name) ?? 0) + (modules.selfTime(i) ?? 0));
  }
  const ranked = [...totals].sort((a, b) => b[1] - a[1]).map(([name]) => name);
  const byType = new Map(ranked.slice(0, series.length).map((name, i) => [name, series[i]]));
  const type = (name) => byType.get(name) ?? grey;
  const limit = (name) => ownOf(limits, name) ?? grey;
  /** Label and colour of what colours stand for, by "type" or "limit". */
  const legend = (by = state.colour) =>
    by === "limit"
      ? [...Object.keys(limits).map((name) => [limitWord(name), limits[name]]), [_("unknown"), grey]]
      : [
          ...[...byType].map(([name, colour]) => [name, colour]),
          ...(ranked.length > series.length ? [[_("other types"), grey]] : []),
        ];
  return {
    grey,
    type,
    limit,
    legend,
    part: (name) => ownOf(parts, name) ?? grey,
    /** The colour of a module by what is chosen. */
    of: (i) => (state.colour === "limit" ? limit(modules.figure("limited_by", i)) : type(modules.type(i))),
  };
})();
