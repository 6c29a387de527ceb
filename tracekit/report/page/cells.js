// Cells of tables: numbers, bars behind numbers, names. Each returns an element, so names are never markup.

const LONGEST_NAME = 300; // characters of a name in a cell; the style sheet cuts what is wider than the cell
const LONGEST_HINT = 2000;

/** A number right-aligned in front of a bar of `share` (0 to 1) of the cell; `note` stands at its left. */
const barCell = (text, share, colour, note = null) =>
  element(
    "div",
    { class: "bar-cell" },
    element("i", {
      style: `width:${(100 * Math.max(0, Math.min(1, share || 0))).toFixed(2)}%;background:${colour ?? "var(--bar)"}`,
    }),
    note == null ? null : element("span", { class: "bar-note" }, note),
    element("span", { class: "bar-value" }, text),
  );

/** The title of a column: what it is, and the unit. */
const withUnit = (name, unit) => `${name} (${unit})`;

/** `value` in a unit that is `by` times as large; what is unknown stays so. */
const scaledDown = (value, by) => (value == null ? null : value / by);

/** A number in a cell. */
const numberCell = (text) => element("span", {}, text);

/** A name in at most `width` characters, whole in its hint. */
const nameCell = (text, width = LONGEST_NAME, whole = text) =>
  element("bdi", { class: "name", title: elide(whole, LONGEST_HINT) }, elide(text, width));

/** The same with what was searched marked; `before` is what stands before `text` and is not shown. */
const markedCell = (text, query, before = "", whole = before + text) => {
  const shown = elide(text, LONGEST_NAME);
  const made = nameCell(shown, LONGEST_NAME, whole);
  const all = (before + shown).toLowerCase();
  // Letters that are longer in lower case would shift the marks.
  if (!query || all.length !== before.length + shown.length) return made;
  const parts = [];
  let done = before.length;
  for (
    let at = all.indexOf(query, Math.max(0, done - query.length + 1));
    at >= 0;
    at = all.indexOf(query, done)
  ) {
    const from = Math.max(at, done),
      to = at + query.length;
    parts.push(shown.slice(done - before.length, from - before.length));
    parts.push(element("mark", {}, shown.slice(from - before.length, to - before.length)));
    done = to;
  }
  made.replaceChildren(...parts, shown.slice(done - before.length));
  return made;
};

/** A small square of a colour. */
const swatch = (colour) => element("i", { class: "swatch", style: `background:${colour}` });

/** The word for what limits, with a swatch of its colour; what explains the word stands in the hint. */
const limitCell = (name) =>
  name == null
    ? numberCell(DASH)
    : element(
        "span",
        { title: limitWord(name) },
        swatch(colours.limit(name)),
        limitWord(name).replace(/ \(.*\)$/, ""),
      );

/** The share of the bound that is reached; what is faster than memory can be is said to be. */
const boundText = (share, beats) => (beats ? `>${format.percent(1, 0)}` : format.percent(share));

/** The same in front of a bar. */
const boundCell = (share, beats) =>
  share == null && !beats
    ? numberCell(DASH)
    : barCell(boundText(share, beats), beats ? 1 : share, "var(--bar-2)");
