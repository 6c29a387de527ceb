// Texts in the language that is chosen now. Keys are the English texts; catalogues are those of gettext.

const payload = JSON.parse(document.getElementById("payload").textContent);
let language = payload.lang;

/** The text in the chosen language. */
const _ = (text) => {
  const found = payload.messages[language]?.[text];
  return typeof found === "string" && found ? found : text;
};

/** The plural form for `n`, with `{n}` in it filled in. */
const ngettext = (singular, plural, n) => {
  const forms = payload.messages[language]?.[singular];
  const { pluralCategories } = new Intl.PluralRules(language).resolvedOptions();
  // Forms stand in the order of CLDR's categories for whole numbers: one, few, many.
  const order = ["one", "two", "few", "many", "other"].filter((name) => pluralCategories.includes(name));
  const category = new Intl.PluralRules(language).select(n);
  const text = Array.isArray(forms)
    ? forms[Math.min(order.indexOf(category), forms.length - 1)]
    : n === 1
      ? singular
      : plural;
  return fill(text, { n: format.count(n) });
};

/** `template` with its `{name}`s replaced. */
const fill = (template, values) =>
  template.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));

/** What `table` has under `name`, which may be the name of something that every object has. */
const ownOf = (table, name) => (Object.hasOwn(table, name) ? table[name] : undefined);

/** A word of a closed list: what limits, or a part of a block. */
const limitWord = (name) => (name == null ? DASH : (ownOf(payload.limits[language], name) ?? name));
const partWord = (name) => ownOf(payload.parts[language], name) ?? name;
