// The pictures of a job: the step of each rank as bars or thin columns, and ranks over time as a map.

const MOST_BARS = 32; // ranks that have a bar with its numbers; more have columns
const COLUMNS_HEIGHT = 220; // px

const partName = (part) => ownOf(payload.part_names[language], part) ?? part;
const partColour = (part) => `var(--part-${part})`;

/** What the colours of the parts stand for. */
const makePartLegend = (parent) => {
  const list = element("ul", { class: "legend" });
  const fillIn = () =>
    list.replaceChildren(
      ...payload.parts.map((part) => element("li", {}, swatch(partColour(part)), partName(part))),
    );
  fillIn();
  onChange(["language"], fillIn);
  parent.append(list);
};

/** A bar of the parts of a step; the longest step of all ranks fills it. */
const splitBar = (row, most) =>
  element(
    "span",
    { class: "split" },
    ...payload.parts.map((part) =>
      element("i", {
        style: `width:${(100 * (row[`${part}_us`] / most)).toFixed(3)}%;background:${partColour(part)}`,
      }),
    ),
  );

/** One line on the step of a rank. */
const splitText = (row) =>
  `${fill(_("rank {rank}"), { rank: format.count(row.rank) })}: ${payload.parts
    .map((part) => `${partName(part)} ${format.milliseconds(row[`${part}_us`])}`)
    .join(", ")} ${_("ms")}`;

const longestOf = (rows) => rows.reduce((most, row) => Math.max(most, row.wall_us ?? 0), 0) || 1;

/** Round numbers from 0 to `most`, about five of them, each with its text. */
const roundTicks = (most) => {
  const power = 10 ** Math.floor(Math.log10(most / 4));
  const step = power * ([1, 2, 2.5, 5, 10].find((factor) => factor * power * 5 >= most) ?? 10);
  const digits = [0, 1, 2, 3, 4, 5, 6].find((n) => Math.abs(step * 10 ** n - Math.round(step * 10 ** n)) < 1e-6) ?? 6;
  return Array.from({ length: Math.floor(most / step + 1e-9) + 1 }, (_unused, k) => ({
    value: k * step,
    text: numberFormat(digits).format(k * step),
  }));
};

/** At most `most` positions of `count`, evenly and round. */
const placeTicks = (count, most) => {
  const steps = [1, 2, 4, 5, 8, 10].flatMap((step) => [step, 10 * step, 100 * step, 1000 * step]);
  const step = steps.sort((a, b) => a - b).find((one) => count / one <= most) ?? count;
  return Array.from({ length: Math.ceil(count / step) }, (_unused, k) => k * step);
};

const startColumns = (view) => {
  const rows = rowsOf(payload.ranks).filter((row) => row.wall_us != null);
  const most = longestOf(rows);
  if (rows.length <= MOST_BARS) drawBars(view, rows, most);
  else drawColumns(view, rows, most);
  makePartLegend(view);
};

const drawBars = (view, rows, most) => {
  const list = element("table", { class: "rank-bars" });
  const draw = () =>
    list.replaceChildren(
      ...rows.map((row) =>
        element(
          "tr",
          { title: splitText(row) },
          element("th", { scope: "row" }, fill(_("rank {rank}"), { rank: format.count(row.rank) })),
          element("td", { class: "track" }, splitBar(row, most)),
          element("td", { class: "number" }, `${format.milliseconds(row.wall_us)} ${_("ms")}`),
          element("td", { class: "late" }, row.is_straggler ? lastText(row) : ""),
        ),
      ),
    );
  draw();
  onChange(["language"], draw);
  view.append(element("div", { class: "scrolls" }, list));
};

const lastText = (row) =>
  fill(_("last to {share} of collectives"), { share: format.percent(row.last_share, 0) });

/** An SVG of thin columns; what is under the pointer is said below it. */
const drawColumns = (view, rows, most) => {
  const top = most * 1.02;
  const box = element("div", { class: "plot rank-columns", role: "img" });
  const said = element("p", { class: "note said" }, "\u00a0");
  const svg = (tag, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };
  // One outline for each part, from that below it to its own height.
  const picture = svg("svg", {
    viewBox: `0 0 ${rows.length} ${COLUMNS_HEIGHT}`,
    preserveAspectRatio: "none",
    "aria-hidden": "true",
  });
  const height = (us) => (COLUMNS_HEIGHT * (1 - us / top)).toFixed(2);
  let below = rows.map(() => 0);
  for (const part of payload.parts) {
    const above = rows.map((row, k) => below[k] + row[`${part}_us`]);
    const there = above.map((us, k) => `L${k},${height(us)}L${k + 1},${height(us)}`).join("");
    const back = below.map((us, k) => `L${k + 1},${height(us)}L${k},${height(us)}`);
    picture.append(
      svg("path", {
        d: `M0,${height(below[0])}${there}${back.reverse().join("")}Z`,
        style: `fill:${partColour(part)}`,
      }),
    );
    below = above;
  }
  box.append(picture);
  const marks = element("div");
  box.append(marks);
  const label = () => {
    box.setAttribute("aria-label", _("Where the time of a step goes, by rank"));
    marks.replaceChildren(
      ...roundTicks(most / 1e3).map(({ value, text }) =>
        element("span", { class: "level-text", style: `top:${height(value * 1e3)}px` }, text),
      ),
      element("span", { class: "axis-unit" }, _("ms")),
      ...placeTicks(rows.length, 16).map((k) =>
        element(
          "span",
          { class: "upright-text", style: `left:${(100 * (k + 0.5)) / rows.length}%` },
          format.count(rows[k].rank),
        ),
      ),
      ...stragglerMarks(rows),
    );
  };
  label();
  onChange(["language"], label);
  const at = (event) => {
    const frame = picture.getBoundingClientRect();
    const k = Math.floor(((event.clientX - frame.left) / frame.width) * rows.length);
    return rows[Math.max(0, Math.min(rows.length - 1, k))];
  };
  box.addEventListener("pointermove", (event) => {
    said.textContent = splitText(at(event));
  });
  view.append(box, said);
};

/** The numbers of the worst stragglers above their columns, those that have room. */
const stragglerMarks = (rows) => {
  const places = [];
  const worst = rows
    .map((row, k) => ({ row, k }))
    .filter(({ row }) => row.is_straggler)
    .sort((a, b) => b.row.delay_us - a.row.delay_us);
  for (const { row, k } of worst) {
    const left = (k + 0.5) / rows.length;
    if (places.length < 12 && places.every((other) => Math.abs(other.left - left) > 0.04))
      places.push({ row, left });
  }
  return places.map(({ row, left }) =>
    element(
      "span",
      { class: "straggler-mark", style: `left:${100 * left}%`, title: lastText(row) },
      `${format.count(row.rank)} ▾`,
    ),
  );
};

/** The bytes of a part of the heat map. */
const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const HEAT_UNKNOWN = 255;

const startHeat = (view, controls) => {
  const { bins, ranks, bin_us: binUs } = payload.heat;
  const known = Object.fromEntries(
    payload.parts.filter((part) => part !== "idle").map((part) => [part, bytesOf(payload.heat[part])]),
  );
  const percent = (part, at) => {
    if (known.compute[at] === HEAT_UNKNOWN) return null;
    if (part !== "idle") return known[part][at];
    return 100 - known.compute[at] - known.communication[at] - known.copy[at];
  };
  let chosen = "compute";
  const canvas = element("canvas", { width: bins, height: ranks.length, role: "img" });
  const rowHeight = ranks.length <= 32 ? 18 : ranks.length <= 128 ? 5 : ranks.length <= 512 ? 2 : 1;
  canvas.style.height = `${rowHeight * ranks.length}px`;
  const box = element("div", { class: "plot heat" }, canvas);
  const marks = element("div");
  box.append(marks);
  const said = element("p", { class: "note said" }, "\u00a0");
  const ramp = element("ul", { class: "legend ramp" });

  const draw = () => {
    const from = rgbOf("--card"),
      to = rgbOf(chosen === "idle" ? "--text" : `--part-${chosen}`),
      blank = rgbOf("--heat-unknown");
    const context = canvas.getContext("2d");
    const image = context.createImageData(bins, ranks.length);
    const colours = Array.from({ length: 101 }, (_unused, at) => mixed(from, to, at / 100));
    for (let at = 0; at < bins * ranks.length; at++) {
      const value = percent(chosen, at);
      const colour = value == null ? blank : colours[Math.max(0, Math.min(100, value))];
      image.data.set([...colour, 255], 4 * at);
    }
    context.putImageData(image, 0, 0);
    canvas.setAttribute("aria-label", `${_("Ranks over time")}: ${partName(chosen)}`);
    ramp.replaceChildren(
      ...[0, 25, 50, 75, 100].map((at) =>
        element("li", {}, swatch(`rgb(${mixed(from, to, at / 100).join(",")})`), `${format.count(at)}${percentSign()}`),
      ),
      known.compute.includes(HEAT_UNKNOWN)
        ? element("li", {}, swatch("var(--heat-unknown)"), _("not recorded"))
        : "",
    );
    marks.replaceChildren(
      ...placeTicks(ranks.length, Math.max(2, Math.floor((rowHeight * ranks.length) / 18))).map((k) =>
        element("span", { class: "level-text", style: `top:${rowHeight * (k + 0.5)}px` }, format.count(ranks[k])),
      ),
    );
    times.replaceChildren(
      ...roundTicks((bins * binUs) / 1e3).map(({ value, text }) =>
        element(
          "span",
          { class: "upright-text", style: `left:${(100 * value * 1e3) / (bins * binUs)}%` },
          value ? `${text} ${_("ms")}` : text,
        ),
      ),
    );
  };
  const times = element("div", { class: "plot heat-times" });
  makeSelect(controls, {
    label: () => _("Shown"),
    options: () => payload.parts.map((part) => [part, partName(part)]),
    value: () => chosen,
    onchange: (part) => {
      chosen = part;
      draw();
    },
  }).id = "heat-part";
  box.addEventListener("pointermove", (event) => {
    const frame = canvas.getBoundingClientRect();
    const k = Math.floor(((event.clientX - frame.left) / frame.width) * bins),
      r = Math.floor(((event.clientY - frame.top) / frame.height) * ranks.length);
    if (k < 0 || k >= bins || r < 0 || r >= ranks.length) return;
    const at = r * bins + k;
    const parts = payload.parts.map((part) => {
      const value = percent(part, at);
      return `${partName(part)} ${value == null ? DASH : `${format.count(value)}${percentSign()}`}`;
    });
    said.textContent = `${fill(_("rank {rank}"), { rank: format.count(ranks[r]) })}, ${format.duration(k * binUs)} – ${format.duration((k + 1) * binUs)}: ${parts.join(", ")}`;
  });
  draw();
  onChange(["language", "theme"], draw);
  view.append(element("div", { class: "heat-scroll" }, box), times, said, ramp);
};

/** A colour of the style sheet as three numbers. */
const rgbOf = (name) => {
  const probe = document.createElement("canvas").getContext("2d");
  probe.fillStyle = cssColour(name);
  probe.fillRect(0, 0, 1, 1);
  return [...probe.getImageData(0, 0, 1, 1).data].slice(0, 3);
};
const mixed = (from, to, share) => from.map((value, k) => Math.round(value + (to[k] - value) * share));
