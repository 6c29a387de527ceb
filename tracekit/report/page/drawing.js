// What the charts of bars and dots are drawn with: numbers on axes, legends, patterns, zoom, pointer and keyboard.

const tickFormats = new Map();
/** A number of an axis, with as many decimals as it has. */
const tickText = (value) => {
  if (!tickFormats.has(language))
    tickFormats.set(
      language,
      new Intl.NumberFormat(language, { maximumFractionDigits: 6, useGrouping: "always" }),
    );
  return tickFormats.get(language).format(value);
};

/** A power of ten on a logarithmic axis. */
const decadeText = (value) => {
  const power = Math.round(Math.log10(value));
  if (power >= -3 && power <= 4) return tickText(10 ** power);
  return `10${Array.from(String(power), (digit) => (digit === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit])).join("")}`;
};

/** The least and the greatest of `values`, of which there may be more than a function takes arguments. */
const extentOf = (values) => [
  values.reduce((least, value) => Math.min(least, value), Infinity),
  values.reduce((greatest, value) => Math.max(greatest, value), -Infinity),
];

/** The unit for an axis of durations up to `us`: how many µs it has, and its name. */
const durationUnit = (us) => (us < 1e3 ? [1, _("µs")] : us < 1e6 ? [1e3, _("ms")] : [1e6, _("s")]);

/** Black or white: what is read better on `colour`, "#rrggbb". */
const readable = (colour) => {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return 0.299 * red + 0.587 * green + 0.114 * blue > 140 ? "#000000" : "#ffffff";
};

// Patterns tell bars apart where colours do not; in the order of the palette's parts, so that each has its own.
const stripes = (rotation, dashArrayY) => ({
  symbol: "rect",
  symbolSize: 1,
  color: "rgba(0,0,0,.3)",
  dashArrayX: [1, 0],
  dashArrayY,
  rotation,
});
const spots = (symbol) => ({
  symbol,
  symbolSize: 0.8,
  color: "rgba(0,0,0,.3)",
  dashArrayX: [
    [4, 4],
    [0, 4, 4, 0],
  ],
  dashArrayY: [4, 4],
});
const PLAIN = { symbol: "none", color: "transparent" };
const DECALS = [
  PLAIN,
  stripes(Math.PI / 2, [1, 4]),
  stripes(0, [1, 4]),
  stripes(-Math.PI / 4, [1, 2]),
  stripes(-Math.PI / 4, [2, 5]),
  stripes(Math.PI / 4, [2, 5]),
  spots("circle"),
  spots("triangle"),
];

/** How bars of a colour and a pattern look; those without a colour are outlines. */
const barStyle = (colour, pattern) =>
  colour === "transparent"
    ? { color: colour, borderColor: cssColour("--muted"), borderType: "dashed", borderWidth: 1, decal: PLAIN }
    : { color: colour, decal: DECALS[pattern % DECALS.length] };

// Shapes of dots beside their colours, and how much wider each must be than a circle to cover as much.
const SHAPES = [
  "circle",
  "rect",
  "triangle",
  "diamond",
  "path://M3 0h4v3h3v4h-3v3h-4v-3h-3v-4h3z",
  "path://M0 0h10l-5 10z",
  "path://M5 0l1.5 3.5h3.5l-2.8 2.4 1 4.1-3.2-2.4-3.2 2.4 1-4.1-2.8-2.4h3.5z",
  "path://M2.5 0h5l2.5 5-2.5 5h-5l-2.5-5z",
];
const WIDTHS = [1, 0.89, 1.25, 1.25, 1.1, 1.25, 1.4, 1];
/** The `i`th shape, and `size` so that it covers as much as a circle of that width; grey is always a circle. */
const shapeOf = (i, colour, size) => {
  const at = colour === colours.grey ? 0 : i % SHAPES.length;
  return { symbol: SHAPES[at], symbolSize: size * WIDTHS[at] };
};

const measure = document.createElement("canvas").getContext("2d");
const chartFont = () => `12px ${getComputedStyle(document.body).fontFamily}`;
/** The width of a text in a chart, px. */
const textWidth = (text) => {
  measure.font = chartFont();
  return measure.measureText(text).width;
};

/**
 * A legend above a chart `width` px wide, and the height that it takes. `entries` have a name (that of their
 * series), a text and how they look.
 */
const legendAbove = (entries, width, itemWidth = 16) => {
  const room = Math.max(200, width - 20);
  let rows = entries.length ? 1 : 0,
    used = 0;
  for (const { text } of entries) {
    const wide = textWidth(text) + itemWidth + 21;
    if (used && used + wide > room) ((rows += 1), (used = 0));
    used += wide;
  }
  const texts = new Map(entries.map(({ name, text }) => [name, text]));
  return {
    height: rows * 22,
    option: {
      show: entries.length > 0,
      type: "plain",
      top: 0,
      left: 0,
      width: room,
      bottom: "auto",
      itemWidth,
      itemHeight: 11,
      itemGap: 11,
      padding: [3, 0],
      textStyle: { color: cssColour("--text"), fontSize: 12 },
      inactiveColor: cssColour("--line"),
      formatter: (name) => texts.get(name) ?? name,
      data: entries.map(({ text, ...look }) => look),
    },
  };
};

/** A slider and the wheel (with Ctrl, since a wheel alone scrolls the page) that zoom a horizontal axis. */
const zoomOptions = ({ start, end }, label) => [
  {
    type: "slider",
    start,
    end,
    filterMode: "none",
    height: 18,
    bottom: 4,
    brushSelect: false,
    showDataShadow: false,
    moveHandleSize: 0,
    backgroundColor: "transparent",
    borderColor: cssColour("--line"),
    fillerColor: "rgba(128,128,128,.25)",
    textStyle: { color: cssColour("--text") },
    labelFormatter: (_value, text) => label(text),
  },
  { type: "inside", start, end, filterMode: "none", zoomOnMouseWheel: "ctrl", moveOnMouseWheel: false },
];

/** The window `zoom`, moved so that position `at` of `count` is in it. */
const zoomAround = (zoom, at, count) => {
  const place = (100 * (at + 0.5)) / count,
    { start, end } = zoom;
  if (at < 0 || (place >= start && place <= end)) return zoom;
  const from = Math.min(100 - (end - start), Math.max(0, place - (end - start) / 2));
  return { start: from, end: from + end - start };
};

/** Calls `choose` with the position on the horizontal axis of each click between the axes. */
const onColumn = (chart, choose) => {
  const area = chart.getZr();
  const inside = (event) => chart.containPixel("grid", [event.offsetX, event.offsetY]);
  area.on("click", (event) => {
    if (inside(event)) choose(chart.convertFromPixel({ xAxisIndex: 0 }, event.offsetX));
  });
  area.on("mousemove", (event) => area.setCursorStyle(inside(event) ? "pointer" : "default"));
};

/**
 * Lets the keyboard walk through a chart: arrows, Home and End call `go` with a position of `count()`; `at()` is
 * where one is, -1 at first. What `go` returns is said to screen readers.
 */
const makeWalkable = ({ box }, { count, at, go }) => {
  const said = element("p", { class: "unseen", "aria-live": "polite" });
  box.after(said);
  box.tabIndex = 0;
  box.setAttribute("role", "application");
  box.addEventListener("keydown", (event) => {
    const last = count() - 1,
      here = at();
    const to = {
      ArrowRight: here + 1,
      ArrowDown: here + 1,
      ArrowLeft: here - 1,
      ArrowUp: here - 1,
      Home: 0,
      End: last,
    }[event.key];
    if (to === undefined || last < 0) return;
    event.preventDefault();
    said.textContent = go(Math.max(0, Math.min(last, to))) ?? "";
  });
};

/** A sentence where there is nothing to draw. */
const sayInstead = (view, text) => {
  const sentence = element("p", { class: "instead" });
  const write = () => {
    sentence.textContent = text();
  };
  write();
  onChange(["language"], write);
  view.append(sentence);
};
