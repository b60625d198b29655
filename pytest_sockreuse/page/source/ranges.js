// Versions that do the same, folded to ranges. Only neighbours are folded, and only what is equal: never across a gap.

/** The release line of a version: 6.2.16 is of 6.2. */
const lineOf = (label) => label.split(".").slice(0, 2).join(".");

/** The release line of a version, if no other version of it is outside the range; else the version. */
function shortLabel(labels, at, first, last) {
  const line = lineOf(labels[at]);
  const shared = labels.some((label, other) => (other < first || other > last) && lineOf(label) === line);
  return shared ? labels[at] : line;
}

/**
 * A range in words that cannot be read backwards, as report/ranges.py has them: since 6.3, until 6.2, 5.10 – 6.7, 6.2; or
 * none, where it is all. `before` and `after` say that the version there is known to do otherwise.
 */
function rangeWords(labels, first, last, before, after) {
  if (first === 0 && last === labels.length - 1) return "";
  if (first < last && ![labels[first], labels[last]].every((label) => /^\d/.test(label))) return labels.slice(first, last + 1).join(", ");
  const [from, to] = [first, last].map((at) => shortLabel(labels, at, first, last));
  if (last === labels.length - 1 && before) return `since ${from}`;
  if (first === 0 && after) return `until ${to}`;
  return from === to ? from : `${from} – ${to}`;
}

/** The ranges of a family's versions between which nothing changes: `same(a, b)` of two neighbours, neither of them a `gap`. */
function folded(family, same, gap = () => false) {
  const found = [];
  const labels = family.platforms.map((platform) => platform.label);
  family.platforms.forEach((platform, at) => {
    const open = found.at(-1);
    if (open && same(family.platforms[at - 1], platform)) open.last = at;
    else found.push({ family, first: at, last: at, gap: gap(platform) });
  });
  found.forEach((range, at) => {
    const known = (other) => other !== undefined && (range.gap || !other.gap);
    range.platforms = family.platforms.slice(range.first, range.last + 1);
    range.words = rangeWords(labels, range.first, range.last, known(found[at - 1]), known(found[at + 1]))
      || (labels.length > 1 ? "every version" : labels[0]);
  });
  return found;
}

/** Whether two cells are of one behaviour, however we know. A gap equals nothing but a gap of its own kind. */
function alike(a, b) {
  if (GAPS.has(a.basis) || GAPS.has(b.basis)) return a.basis === b.basis;
  return a.outcome === b.outcome;
}

/** The ranges of a family in one variant. */
const rangesOf = (family, variant) =>
  folded(family, (a, b) => alike(cellOf(variant, a), cellOf(variant, b)), (one) => GAPS.has(cellOf(variant, one).basis));

/** The ranges of a family in many variants: it is split where any of them changes. */
function rangesIn(family, some) {
  const used = [...new Set(some.map((variant) => variant.vector))];
  const cellIn = (vector, platform) => cells[vectors[vector][platform.index]];
  return folded(family, (a, b) => used.every((vector) => alike(cellIn(vector, a), cellIn(vector, b))),
    (one) => used.every((vector) => GAPS.has(cellIn(vector, one).basis)));
}
