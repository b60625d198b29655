// Versions that do the same, folded to ranges. Only neighbours are folded, and only what is equal: never across a gap.

/** The shortest label that still tells a version from the others of its family: 6.2.16 is 6.2. */
function shortLabel(platform) {
  const line = /^(\d+\.\d+)\.\d+$/.exec(platform.label)?.[1];
  const same = (other) => other.label === line || other.label.startsWith(`${line}.`);
  return line && platform.family.platforms.filter(same).length === 1 ? line : platform.label;
}

/** A run of versions in words that cannot be read backwards: since 6.3, until 6.2, 5.10 – 6.7, 6.2. */
function rangeWords(family, first, last) {
  const all = family.platforms;
  if (first === last) return shortLabel(all[first]);
  if (![all[first], all[last]].every((one) => /^\d/.test(one.label))) {
    return all.slice(first, last + 1).map((one) => one.label).join(", ");
  }
  if (first === 0 && last === all.length - 1) return `${shortLabel(all[first])} – ${shortLabel(all[last])}`;
  if (last === all.length - 1) return `since ${shortLabel(all[first])}`;
  if (first === 0) return `until ${shortLabel(all[last])}`;
  return `${shortLabel(all[first])} – ${shortLabel(all[last])}`;
}

/** The ranges of a family's versions between which nothing changes: `same(a, b)` of two neighbours. */
function folded(family, same) {
  const found = [];
  family.platforms.forEach((platform, at) => {
    const open = found.at(-1);
    if (open && same(family.platforms[at - 1], platform)) open.last = at;
    else found.push({ family, first: at, last: at });
  });
  for (const range of found) {
    range.platforms = family.platforms.slice(range.first, range.last + 1);
    range.words = rangeWords(family, range.first, range.last);
  }
  return found;
}

/** Whether two cells are of one behaviour, however we know. A gap equals nothing but a gap of its own kind. */
function alike(a, b) {
  if (GAPS.has(a.basis) || GAPS.has(b.basis)) return a.basis === b.basis;
  return a.outcome === b.outcome;
}

/** The ranges of a family in one variant. */
const rangesOf = (family, variant) => folded(family, (a, b) => alike(cellOf(variant, a), cellOf(variant, b)));

/** The ranges of a family in many variants: it is split where any of them changes. */
function rangesIn(family, some) {
  const used = [...new Set(some.map((variant) => variant.vector))];
  return folded(family, (a, b) => used.every((vector) => alike(cells[vectors[vector][a.index]], cells[vectors[vector][b.index]])));
}
