// Names from the trace. They came cleaned of what is not visible; here they are shortened and escaped.

/** `text` in at most `width` characters, cut in its middle: names differ at both ends. */
const elide = (text, width) => {
  const letters = text.length > width ? Array.from(text) : null;
  if (!letters || letters.length <= width) return text;
  const head = Math.floor((width - 1) / 2);
  return `${letters.slice(0, head).join("")}…${letters.slice(letters.length - (width - 1 - head)).join("")}`;
};

/** `text` as HTML that shows it literally. */
const escapeHtml = (text) => String(text).replace(/[&<>"'`]/g, (c) => `&#${c.charCodeAt(0)};`);

/** The HTML of a hint: a title, and lines of label and value; all is escaped. */
const hint = (title, lines) => {
  const rows = lines
    .filter((line) => line)
    .map(
      ([label, value]) =>
        `<tr><td style="color:var(--muted);padding-right:1em;min-width:8rem;overflow-wrap:normal;vertical-align:top">${escapeHtml(label)}</td><td style="text-align:right"><bdi>${escapeHtml(value)}</bdi></td></tr>`,
    );
  return `<div style="max-width:34rem;white-space:normal;overflow-wrap:anywhere"><b><bdi>${escapeHtml(elide(title, 300))}</bdi></b><table style="border-spacing:0">${rows.join("")}</table></div>`;
};

/** An element with attributes and children; strings become text, so nothing from a trace is markup. */
const element = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value != null && value !== false) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
};
