// The lanes of the timeline: what stands where in time, and what of it is seen.

/** Rectangles in time as columns: of `kind` "modules", "events" or "gaps"; `reached` ascends, as `start` does. */
const makeLane = (kind, more) => ({
  kind,
  ...more,
  start: [],
  end: [],
  module: [],
  row: [],
  count: [],
  reached: [],
});

/** Adds a rectangle for `count` events; `row` is that of the first, or of the gap; `module` is null outside modules. */
const addToLane = (lane, start, end, module, row, count) => {
  lane.reached.push(Math.max(lane.reached.at(-1) ?? -Infinity, end));
  for (const [name, value] of Object.entries({ start, end, module, row, count })) lane[name].push(value);
};

/** The first position in `values`, which ascend, whose value is above `limit`. */
const firstAbove = (values, limit) => {
  let low = 0,
    high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] > limit) high = middle;
    else low = middle + 1;
  }
  return low;
};

/**
 * The lanes from the top down: per device and stream the modules from the outside in, as far as there is room for
 * them, and the events; below its streams the gaps of the device. `left`: how many streams have no room.
 */
const timelineLanes = ({ streams, events, gaps }) => {
  const MOST_ROWS = 40,
    MOST_LEVELS = 5,
    MOST_STREAMS = 24,
    RARE = 0.02;
  const busy = new Float64Array(streams.length);
  events.stream.forEach((stream, at) => {
    busy[stream] += events.duration_us[at];
  });
  const shown = new Set(
    [...streams.keys()].sort((a, b) => busy[b] - busy[a] || a - b).slice(0, MOST_STREAMS),
  );
  const devices = [...new Set(streams.map((stream) => stream.device))];

  // The deepest levels that more than a few events reach. What lies above is folded into the first of them.
  const chainOf = once(modules.chain),
    depths = [];
  for (const module of events.module) {
    if (module != null) depths[chainOf(module).length - 1] = (depths[chainOf(module).length - 1] ?? 0) + 1;
  }
  let last = depths.length - 1;
  for (
    let deeper = depths[last];
    last > 0 && deeper < RARE * events.module.length;
    deeper += depths[last] ?? 0
  )
    last -= 1;
  const room = Math.floor((MOST_ROWS - devices.length - shown.size) / shown.size);
  const levels = Math.max(0, Math.min(last + 1, MOST_LEVELS, room)),
    first = last + 1 - levels;
  const levelsOf = once((module) =>
    Array.from(
      { length: levels },
      (_unused, k) => chainOf(module)[first + k] ?? (k ? null : chainOf(module).at(-1)),
    ),
  );

  const ofStream = streams.map(({ device, stream }) => ({
    modules: Array.from({ length: levels }, (_unused, level) =>
      makeLane("modules", { level, device, stream }),
    ),
    events: makeLane("events", { device, stream }),
  }));
  const inside = new Array(streams.length).fill([]);
  events.start_us.forEach((start, at) => {
    const stream = events.stream[at],
      module = events.module[at],
      end = start + events.duration_us[at];
    const found = module == null ? [] : levelsOf(module);
    addToLane(ofStream[stream].events, start, end, module, at, events.count[at]);
    ofStream[stream].modules.forEach((lane, k) => {
      if (found[k] == null) return;
      if (found[k] !== inside[stream][k]) return addToLane(lane, start, end, found[k], at, events.count[at]);
      const run = lane.end.length - 1;
      lane.end[run] = lane.reached[run] = Math.max(lane.end[run], end);
      lane.count[run] += events.count[at];
    });
    inside[stream] = found;
  });
  const ofDevice = new Map(devices.map((device) => [device, makeLane("gaps", { device })]));
  gaps.forEach((gap, at) => {
    const lane = ofDevice.get(gap.device);
    if (lane) addToLane(lane, gap.start_us, gap.start_us + gap.duration_us, gap.module, at, 1);
  });
  const lanes = devices
    .flatMap((device) => [
      ...ofStream
        .filter((one, at) => shown.has(at) && one.events.device === device)
        .flatMap((one) => [...one.modules, one.events]),
      ofDevice.get(device),
    ])
    .filter((lane) => lane.start.length);
  return { lanes, devices: devices.length, left: streams.length - shown.size };
};

/**
 * Calls `draw(at, x, width, share)` for what is seen of a lane in a window that begins at `from` µs, at `left` px, and
 * ends at `right` px. Of what is narrower than a pixel, the one of most `weight(at)` stands for all in that pixel;
 * `share` is how much of it they fill.
 */
const eachSeen = (lane, { from, left, right, scale }, weight, draw) => {
  let pixel = null,
    heaviest = null,
    filled = 0;
  const flush = () => {
    if (heaviest != null) draw(heaviest, pixel, 1, Math.min(1, filled));
    heaviest = null;
  };
  for (let at = firstAbove(lane.reached, from); at < lane.start.length; at++) {
    const x = Math.max(left, left + (lane.start[at] - from) * scale);
    if (x >= right) break;
    const end = Math.min(right, left + (lane.end[at] - from) * scale);
    if (end < left) continue;
    if (end - x >= 1) {
      flush();
      draw(at, x, end - x, 1);
      continue;
    }
    if (heaviest == null || Math.floor(x) !== pixel) {
      flush();
      pixel = Math.floor(x);
      heaviest = at;
      filled = 0;
    } else if (weight(at) > weight(heaviest)) heaviest = at;
    filled += end - x;
  }
  flush();
};

/** The position in a lane of what is drawn at `x` px, or null. */
const laneAt = (lane, { from, left, scale }, x) => {
  const time = from + (x - left) / scale,
    near = 1 / scale;
  let found = null;
  for (
    let at = firstAbove(lane.reached, time - near);
    at < lane.start.length && lane.start[at] <= time + near;
    at++
  ) {
    if (lane.start[at] <= time && lane.end[at] > time) return at;
    if (
      lane.end[at] > time - near &&
      (found == null || lane.end[at] - lane.start[at] > lane.end[found] - lane.start[found])
    )
      found = at;
  }
  return found;
};

/** Why a device is idle: the words, a colour and a pattern. */
const gapCauses = () => ({
  launches: [_("the GPU waits for launches"), payload.palette.limits.host, "/"],
  synchronisation: [_("the GPU waits after a synchronisation"), payload.palette.series[4], "x"],
  queued: [_("between kernels that are queued"), colours.grey, "-"],
});
const causeOf = (gap) => ownOf(gapCauses(), gap.cause) ?? [gap.cause, colours.grey, "-"];

/** Colours of the kernels with most time, by their position. */
const busiestKernels = ({ events, kernels }) => {
  const time = new Float64Array(kernels.length);
  events.kernel.forEach((kernel, at) => {
    time[kernel] += events.duration_us[at];
  });
  const ranked = [...kernels.keys()].sort((a, b) => time[b] - time[a] || a - b);
  return new Map(
    payload.palette.series.map((colour, k) => [ranked[k], colour]).filter(([kernel]) => kernel != null),
  );
};
