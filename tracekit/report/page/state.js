// What is chosen on the page, once: every view reads it here and is told of changes.

const state = {
  language: payload.lang,
  theme: "auto", // or "light", "dark"
  selected: null, // position of a module
  colour: "type", // or "limit"
  phase: payload.main_phase,
};

const listeners = [];

/** Calls `listener(changed)` after each change of one of the fields `names`. */
const onChange = (names, listener) => listeners.push({ names, listener });

/** Changes fields and tells those who listen to one of them, once each. */
const change = (fields) => {
  const changed = Object.keys(fields).filter((name) => state[name] !== fields[name]);
  Object.assign(state, fields);
  language = state.language;
  for (const { names, listener } of listeners) {
    if (names.some((name) => changed.includes(name))) listener(changed);
  }
};

/** Selects a module everywhere; null selects none. `from`: the view that asks, which need not follow. */
let selectedFrom = null;
const select = (module, from = null) => {
  selectedFrom = from;
  change({ selected: module });
  selectedFrom = null;
};

const darkSystem = window.matchMedia("(prefers-color-scheme: dark)");
const isDark = () =>
  !isPrinting && (state.theme === "dark" || (state.theme === "auto" && darkSystem.matches));
let isPrinting = false;
const applyTheme = () => {
  document.documentElement.dataset.theme = isDark() ? "dark" : "light";
};
