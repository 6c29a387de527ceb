// Rectangles by the ten thousand, as the flame chart and the timeline draw them: few shapes, names inside, a legend.

// One shape of many rectangles: x, y, width and height of one after the other.
echarts.graphic.registerShape(
  "rectangles",
  echarts.graphic.extendShape({
    shape: { edges: [] },
    buildPath: (path, { edges }) => {
      for (let i = 0; i < edges.length; i += 4) path.rect(edges[i], edges[i + 1], edges[i + 2], edges[i + 3]);
    },
  }),
);

/** Rectangles collected by their style; `shapes()` draws each style at once. Styles are told apart as objects. */
const makeRectangles = () => {
  const byStyle = new Map();
  return {
    add: (style, { x, y, width, height }) => {
      let edges = byStyle.get(style);
      if (!edges) byStyle.set(style, (edges = []));
      edges.push(x, y, width, height);
    },
    shapes: () =>
      [...byStyle].map(([style, edges]) => ({ type: "rectangles", silent: true, shape: { edges }, style })),
  };
};

/** The function `make(...key)`, which makes the value of each key once. */
const once = (make) => {
  const made = new Map();
  return (...key) => {
    const name = key.join("\n");
    if (!made.has(name)) made.set(name, make(...key));
    return made.get(name);
  };
};

const LABEL_FONT = '12px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';

/** `text` as far as it fits into `width` px, cut in its middle; "" where next to nothing of it would be left. */
const fitted = (text, width) => {
  measure.font = LABEL_FONT;
  // No name needs more letters than pixels, and a long one takes long to measure.
  const short = elide(text, Math.max(1, Math.floor(width)));
  const wide = measure.measureText(short).width;
  if (wide <= width) return short;
  for (let letters = Math.floor((short.length * width) / wide); letters > 2; letters--) {
    const cut = elide(short, letters);
    if (measure.measureText(cut).width <= width) return cut;
  }
  return "";
};

/** A label of colour `fill` in a rectangle; null where there is no room for it, or not for all of it and it is `whole`. */
const labelIn = (text, { fill, halo = null, whole = false }, { x, y, width, height }) => {
  if (width < 24 || height < 12) return null;
  const shown = fitted(text, width - 8);
  if (!shown || (whole && shown !== text)) return null;
  const around = halo && { stroke: halo, lineWidth: 3 };
  return {
    type: "text",
    silent: true,
    z2: 2,
    style: {
      text: shown,
      x: x + 4,
      y: y + height / 2 + 0.5,
      verticalAlign: "middle",
      font: LABEL_FONT,
      fill,
      ...around,
    },
  };
};

/** A picture of `colour` hatched along `lines`: "/", "\\", "x" or "-". */
const hatched = once((colour, lines) => {
  const picture = document.createElement("canvas");
  picture.width = picture.height = 8;
  const pen = picture.getContext("2d");
  pen.fillStyle = pen.strokeStyle = colour;
  pen.globalAlpha = 0.3;
  pen.fillRect(0, 0, 8, 8);
  pen.globalAlpha = 1;
  pen.lineWidth = 1.5;
  // Beyond the edges, so that the picture goes on where it is repeated.
  const strokes = {
    "/": [
      [-2, 2, 2, -2],
      [-2, 10, 10, -2],
      [6, 10, 10, 6],
    ],
    "\\": [
      [6, -2, 10, 2],
      [-2, -2, 10, 10],
      [-2, 6, 2, 10],
    ],
    "-": [[0, 4, 8, 4]],
  };
  for (const [x, y, toX, toY] of strokes[lines] ?? [...strokes["/"], ...strokes["\\"]]) {
    pen.beginPath();
    pen.moveTo(x, y);
    pen.lineTo(toX, toY);
    pen.stroke();
  }
  return picture;
});

/** The same for a canvas chart … */
const hatchedFill = (colour, lines) => ({ image: hatched(colour, lines), repeat: "repeat" });
/** … and for a style sheet. */
const hatchedBackground = (colour, lines) => `background:url(${hatched(colour, lines).toDataURL()})`;

/** A legend in `parent` of pairs of text and style; drawn again when the language, phase or colours change. */
const makeLegend = (parent, entries) => {
  const list = element("ul", { class: "legend chart-legend" });
  const draw = () =>
    list.replaceChildren(
      ...entries().map(([text, style]) =>
        element(
          "li",
          {},
          element("i", { class: "swatch", style }),
          element("bdi", { title: text }, elide(text, 60)),
        ),
      ),
    );
  draw();
  onChange(["language", "theme", "phase", "colour"], draw);
  parent.append(list);
};

/** Entries of a legend for the colours of modules. */
const colourEntries = () => colours.legend().map(([text, colour]) => [text, `background:${colour}`]);

/**
 * Follows the pointer over a chart: `find(x, y)` is what lies there, or null; a click on it calls `choose`,
 * `frame(found)` is the rectangle to outline under the pointer. Returns what is under it now, for hints.
 */
const followPointer = ({ chart, box }, { find, choose, frame }) => {
  const canvas = chart.getZr();
  const outline = new echarts.graphic.Rect({
    silent: true,
    invisible: true,
    zlevel: 1,
    style: { fill: "none", lineWidth: 1.5 },
  });
  canvas.add(outline);
  let found = null;
  // Before the chart hears of it, which asks for the hint then.
  box.addEventListener(
    "mousemove",
    (event) => {
      const { left, top } = box.getBoundingClientRect();
      found = find(event.clientX - left, event.clientY - top);
      outline.attr({
        invisible: !found,
        style: { stroke: cssColour("--text") },
        ...(found && { shape: frame(found) }),
      });
    },
    { capture: true },
  );
  canvas.on("mousemove", () => canvas.setCursorStyle(found ? "pointer" : "default"));
  const forget = () => {
    found = null;
    outline.attr({ invisible: true });
  };
  canvas.on("globalout", forget);
  canvas.on("click", (event) => {
    const clicked = find(event.offsetX, event.offsetY);
    if (clicked) choose(clicked);
  });
  return { found: () => found, forget };
};
