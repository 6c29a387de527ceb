// What is around the views of a page: switches, contents, theme.

/** Shows a view where `applies`; `start(view, controls)` fills its section. */
const show = (id, applies, start) => {
  const section = document.getElementById(id);
  if (!applies) {
    section.remove();
    return;
  }
  section.hidden = false;
  start(document.getElementById(`${id}-view`), document.getElementById(`${id}-controls`));
};

const startSwitches = () => {
  const switches = document.getElementById("switches");
  if (payload.phases.length) {
    makeSelect(switches, {
      label: () => _("Phase"),
      options: () => payload.phases.map((name) => [name, payload.phase_names[name]]),
      value: () => state.phase,
      onchange: (value) => change({ phase: value }),
    }).id = "phase-switch";
  }
  makeSelect(switches, {
    label: () => _("Theme"),
    options: () => [
      ["auto", _("as the system")],
      ["light", _("light")],
      ["dark", _("dark")],
    ],
    value: () => state.theme,
    onchange: (value) => change({ theme: value }),
  }).id = "theme-switch";
  makeSelect(switches, {
    label: () => _("Language"),
    // Each language by its own name: who cannot read the page must find it.
    options: () => [
      ["en", "English"],
      ["ru", "Русский"],
    ],
    value: () => state.language,
    onchange: (value) => change({ language: value }),
  }).id = "language-switch";
};

const startContents = () => {
  const contents = document.getElementById("contents");
  const name = () => contents.setAttribute("aria-label", _("Contents"));
  name();
  onChange(["language"], name);
  for (const section of document.querySelectorAll("main > section:not([hidden])")) {
    const words = section.querySelector("h2").cloneNode(true);
    contents.append(element("a", { href: `#${section.id}` }, ...words.childNodes));
  }
};

// Before anything that is drawn: charts take their colours from the style sheet.
applyTheme();
onChange(["theme"], applyTheme);
onChange(["language"], () => {
  document.documentElement.lang = language;
});
darkSystem.addEventListener("change", () => {
  if (state.theme !== "auto") return;
  state.theme = null; // so that it changes
  change({ theme: "auto" });
});
