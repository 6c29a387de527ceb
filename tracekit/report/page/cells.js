// Cells of tables: numbers, bars behind numbers, names. Each returns an element, so names are never markup.

/** A number right-aligned in front of a bar of `share` (0 to 1) of the cell. */
const barCell = (text, share, colour) => element("div", { class: "bar-cell" },
  element("i", { style: `width:${(100 * Math.max(0, Math.min(1, share || 0))).toFixed(2)}%;background:${colour ?? "var(--bar)"}` }),
  element("span", {}, text));

/** A name in at most `width` characters, whole in its hint. */
const nameCell = (text, width, whole = text) =>
  element("bdi", { class: "name", title: whole.length > 2000 ? elide(whole, 2000) : whole }, elide(text, width));

/** The word for what limits, with a swatch of its colour. */
const limitCell = (name) => (name == null
  ? element("span", {}, DASH)
  : element("span", {}, element("i", { class: "swatch", style: `background:${colours.limit(name)}` }), limitWord(name)));

/** The share of the bound that is reached; what is faster than memory can be is said to be. */
const boundText = (share, beats) => (beats ? `>${format.percent(1, 0)}` : format.percent(share));
