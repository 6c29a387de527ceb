// Which modules the tree shows, in which order: what is unfolded, what was searched, what it is sorted by.
// The tree is kept here as one list of rows, and not as Tabulator's `dataTree`: that makes the rows of every folded
// module too, and knows neither a search that keeps ancestors nor thousands of rows unfolded at once.

const ROWS_AT_FIRST = 30;

/** What is unfolded when the page opens: down to the blocks; without blocks, level by level up to about 30 rows. */
const unfoldedAtFirst = () => {
  const unfolded = new Set();
  for (const block of payload.blocks.module) {
    if (block != null) for (const above of modules.chain(block).slice(0, -1)) unfolded.add(above);
  }
  if (unfolded.size) return unfolded;
  let shown = modules.roots.length;
  for (let level = modules.roots; level.length;) {
    const next = level.flatMap((i) => modules.children(i));
    const isFirst = level === modules.roots;
    if (!next.length || (!isFirst && shown + next.length > ROWS_AT_FIRST)) break;
    for (const i of level) if (modules.children(i).length) unfolded.add(i);
    shown += next.length;
    level = next;
  }
  return unfolded;
};

/** The paths and types of modules in lower case, made when they are first needed. */
const searchTexts = (() => {
  let texts = null;
  return () => {
    texts ??= Array.from({ length: modules.count }, (_unused, i) =>
      `${modules.path(i)}\n${modules.type(i) ?? ""}`.toLowerCase(),
    );
    return texts;
  };
})();

/**
 * The rows of the tree. `list(compare)` gives the modules to show in their order, siblings sorted by `compare`.
 * While something is searched, what is unfolded is a matter of the search, and the tree is as before after it.
 */
const makeTreeRows = () => {
  const rows = { isFlat: false, query: "", matches: null };
  let unfolded = unfoldedAtFirst();
  // Of a search: modules with a match in them, those unfolded, and those of which all children are shown.
  let holds = null,
    opened = null,
    entire = null;

  const isOpen = (i) => (rows.matches ? opened : unfolded).has(i);
  const childrenShown = (i) =>
    rows.matches && !entire.has(i)
      ? modules.children(i).filter((child) => holds.has(child))
      : modules.children(i);

  rows.isOpen = isOpen;
  rows.canOpen = (i) => !rows.isFlat && modules.children(i).length > 0;

  rows.toggle = (i, open = !isOpen(i)) => {
    const set = rows.matches ? opened : unfolded;
    if (open) set.add(i);
    else set.delete(i);
    if (open && rows.matches) entire.add(i);
  };
  rows.toggleAll = (open) => {
    const all = new Set();
    for (let i = 0; open && i < modules.count; i++) if (modules.children(i).length) all.add(i);
    if (!rows.matches) unfolded = all;
    else {
      opened = all;
      const pending = [...rows.matches];
      while (open && pending.length) {
        const i = pending.pop();
        if (entire.has(i)) continue;
        entire.add(i);
        pending.push(...modules.children(i));
      }
    }
  };
  /** Unfolds what stands above a module, so that it is among the rows. */
  rows.open = (i) => {
    for (const above of modules.chain(i).slice(0, -1)) if (!isOpen(above)) rows.toggle(above, true);
    if (rows.matches) for (const above of modules.chain(i)) holds.add(above);
  };
  /** Searches paths and types; an empty text shows the tree as it was. Returns how many modules were found. */
  rows.search = (query) => {
    rows.query = query;
    rows.matches = null;
    if (!query) return 0;
    const found = new Set();
    searchTexts().forEach((text, i) => {
      if (text.includes(query)) found.add(i);
    });
    holds = new Set(found);
    opened = new Set();
    entire = new Set();
    for (const i of found) {
      for (
        let above = modules.parent(i);
        above != null && !opened.has(above);
        above = modules.parent(above)
      ) {
        opened.add(above);
        holds.add(above);
      }
    }
    rows.matches = found;
    return found.size;
  };
  rows.list = (compare) => {
    const sorted = (list) => [...list].sort(compare);
    if (rows.isFlat) {
      const all = Array.from({ length: modules.count }, (_unused, i) => i);
      return sorted(rows.matches ? all.filter((i) => rows.matches.has(i)) : all);
    }
    const found = [];
    const pending = sorted(
      rows.matches ? modules.roots.filter((i) => holds.has(i)) : modules.roots,
    ).reverse();
    while (pending.length) {
      const i = pending.pop();
      found.push(i);
      if (isOpen(i)) {
        const below = sorted(childrenShown(i));
        for (let k = below.length - 1; k >= 0; k--) pending.push(below[k]);
      }
    }
    return found;
  };
  return rows;
};
