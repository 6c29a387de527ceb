// What all charts have in common: theme, size, decals, print. The charts are those of Apache ECharts.

/** The value of a colour of the style sheet. */
const cssColour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const baseOption = () => ({
  animation: false,
  backgroundColor: "transparent",
  textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, color: cssColour("--text") },
  tooltip: {
    confine: true,
    backgroundColor: cssColour("--card"),
    borderColor: cssColour("--line"),
    textStyle: { color: cssColour("--text"), fontSize: 13 },
  },
});

/** Options of an axis that fit the theme. */
const axisStyle = () => ({
  axisLine: { lineStyle: { color: cssColour("--line") } },
  axisLabel: { color: cssColour("--text") },
  nameTextStyle: { color: cssColour("--text") },
  splitLine: { lineStyle: { color: cssColour("--line"), opacity: 0.6 } },
});

const charts = [];

/**
 * A chart in a new element inside `parent`, `height` px high (a number or a function of no arguments).
 * `build()` returns the ECharts option, laid over `baseOption`; it is called again after each change of one of
 * the fields of the state in `follows` (language, theme and phase always). `label()` says what it shows, for screen
 * readers. `fluid`: what is built depends on the width, so it is built again with that. The wheel alone scrolls the
 * page: it is the chart's with Ctrl, or if the chart `takesWheel` while it has the focus. Returns { chart, redraw, box };
 * `chart` is the ECharts instance.
 */
const makeChart = (parent, { height, build, label, follows = [], fluid = false, takesWheel = false }) => {
  const size = () => (typeof height === "function" ? height() : height);
  const box = element("div", { class: "chart", style: `height:${size()}px`, role: "img" });
  parent.append(box);
  // ECharts would keep every wheel over a chart that can be zoomed.
  box.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey && !(takesWheel && document.activeElement === box)) event.stopPropagation();
    },
    { capture: true },
  );
  const chart = echarts.init(box, null, { renderer: "canvas" });
  const redraw = () => {
    const wanted = `${size()}px`;
    if (box.style.height !== wanted) {
      box.style.height = wanted;
      chart.resize();
    }
    box.setAttribute("aria-label", label());
    const base = baseOption(),
      option = build();
    chart.setOption(
      { ...base, ...option, tooltip: { ...base.tooltip, ...option.tooltip } },
      { notMerge: true },
    );
  };
  redraw();
  onChange(["language", "theme", "phase", ...follows], redraw);
  let width = box.clientWidth;
  new ResizeObserver(() => {
    chart.resize();
    if (fluid && box.clientWidth !== width) redraw();
    width = box.clientWidth;
  }).observe(box);
  charts.push({ chart, redraw });
  return { chart, redraw, box };
};

/** Draws all charts for paper before printing, and as they were after it. */
window.addEventListener("beforeprint", () => {
  isPrinting = true;
  applyTheme();
  charts.forEach(({ chart, redraw }) => {
    redraw();
    chart.resize();
  });
});
window.addEventListener("afterprint", () => {
  isPrinting = false;
  applyTheme();
  charts.forEach(({ chart, redraw }) => {
    redraw();
    chart.resize();
  });
});

/** A labelled select in the controls of a view; `options()` are pairs of value and text. */
const makeSelect = (controls, { label, options, value, onchange, follows = [] }) => {
  const list = element("select", { onchange: (event) => onchange(event.target.value) });
  const text = element("span");
  const refill = () => {
    text.textContent = label();
    list.replaceChildren(...options().map(([name, shown]) => element("option", { value: name }, shown)));
    list.value = value();
  };
  refill();
  onChange(["language", ...follows], refill);
  controls.append(element("label", {}, text, list));
  return list;
};

/** The select that chooses what colours stand for, on all views alike. */
const makeColourSelect = (controls) =>
  makeSelect(controls, {
    label: () => _("Colour by"),
    options: () => [
      ["type", _("type")],
      ["limit", _("what limits")],
    ],
    value: () => state.colour,
    onchange: (value) => change({ colour: value }),
    follows: ["colour"],
  });
