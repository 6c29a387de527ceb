// What stands above a table: its search, how many rows it shows, and its rows as a file.

const SEARCH_DELAY_MS = 120;

/** A button whose text follows the language. */
const makeButton = (controls, { label, hint: said, onclick }) => {
  const button = element("button", { type: "button", onclick });
  const name = () => {
    button.textContent = label();
    if (said) button.title = said();
  };
  name();
  onChange(["language"], name);
  controls.append(button);
  return button;
};

/**
 * A field that searches as one types; Escape clears it, `/` in the table's section goes there, Enter and the arrow
 * down call `leave()`. `search(text)` gets the text in lower case. Returns { input, clear(), show(text) }; `show` says
 * what was found.
 */
const makeSearch = (controls, { label, search, leave }) => {
  const input = element("input", { type: "search", autocomplete: "off", spellcheck: "false" });
  const found = element("span", { class: "found muted", role: "status" });
  let waiting = null;
  const run = () => {
    clearTimeout(waiting);
    waiting = null;
    search(input.value.trim().toLowerCase());
  };
  const clear = () => {
    input.value = "";
    run();
  };
  const name = () => {
    input.placeholder = label();
    input.setAttribute("aria-label", label());
  };
  name();
  onChange(["language"], name);
  input.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(run, SEARCH_DELAY_MS);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && input.value) clear();
    else if (event.key === "Enter" || event.key === "ArrowDown") {
      if (waiting !== null) run();
      leave();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
  controls.closest("section").addEventListener("keydown", (event) => {
    if (isSlash(event)) {
      event.preventDefault();
      input.focus();
    }
  });
  controls.append(input, found);
  return {
    input,
    clear,
    show: (text) => {
      found.textContent = text;
    },
  };
};

/** Whether a slash was typed that is meant for no field. */
const isSlash = (event) =>
  event.key === "/" &&
  !event.defaultPrevented &&
  !event.ctrlKey &&
  !event.altKey &&
  !event.metaKey &&
  !event.target.closest?.("input, select, textarea");

/** A value in a CSV file; a text that a spreadsheet would take for a formula is disarmed with an apostrophe. */
const csvValue = (value) => {
  if (value == null) return "";
  if (typeof value !== "string") return String(value);
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

/** The rows of a grid in their order as CSV: numbers as report.json has them, under the names that they have there. */
const csvOf = (grid) => {
  const shown = grid.columns.filter((column) => !column.hidden?.());
  const names = shown.map((column) => csvValue(column.field()));
  const lines = grid.order.map((row) =>
    shown.map((column) => csvValue((column.whole ?? column.value)(row))).join(","),
  );
  return `${[names.join(","), ...lines].join("\n")}\n`;
};

const makeDownload = (controls, grid, file) =>
  makeButton(controls, {
    label: () => _("Download as CSV"),
    hint: () => _("The rows as shown, with unrounded numbers and their names in report.json"),
    onclick: () => {
      const address = URL.createObjectURL(new Blob([csvOf(grid)], { type: "text/csv;charset=utf-8" }));
      element("a", { href: address, download: file }).click();
      setTimeout(() => URL.revokeObjectURL(address), 1000);
    },
  });

/** The words for how many rows a search found. */
const foundText = (n) => (n ? ngettext("{n} match", "{n} matches", n) : _("no matches"));
