// The view of all cases: rules, their cases, and each opened to a grid of its own axes; a column for each family.

const matrix = { params: {}, opened: new Set(), folded: new Set(), agreed: new Set(), found: new Map() };

/** The columns: two platforms that are compared, or each family's newest version, or its ranges where it is split. */
function columnsOf(params, found) {
  if (params.compare) {
    return params.compare.split(",").slice(0, 2).map(platformNear).filter(Boolean).map((one) => ({
      key: `=${one.name}`, platform: one, family: one.family, title: one.family.title, words: one.label, compared: true,
    }));
  }
  const split = new Set((params.split ?? "").split(","));
  const shown = families.filter((family) => !new Set((params.hide ?? "").split(",")).has(family.stack));
  const some = [...found.values()].flat();
  return shown.flatMap((family) => {
    if (!split.has(family.stack)) {
      const platform = newest(family);
      return [{ key: family.stack, kin: family.stack, platform, family, title: family.title, words: platform.label, splits: family.platforms.length > 1 }];
    }
    return rangesIn(family, some).reverse().map((range) => ({
      key: `${family.stack}-${range.platforms[0].label}`, kin: family.stack, platform: range.platforms.at(-1), family,
      title: family.title, words: range.words, split: true,
    }));
  });
}

/** How far the shown systems part in a case: of its variants, how many answers there are beyond one, on average. */
function parting(some, columns) {
  const known = new Map();
  let total = 0;
  for (const variant of some) {
    if (!known.has(variant.vector)) {
      const seen = new Set();
      for (const { platform } of columns) {
        const cell = cellOf(variant, platform);
        if (!GAPS.has(cell.basis)) seen.add(cell.outcome.index);
      }
      known.set(variant.vector, Math.max(0, seen.size - 1));
    }
    total += known.get(variant.vector);
  }
  return total / some.length;
}

function rowsOf(found, columns) {
  const rows = [];
  for (const rule of rules) {
    const some = rule.cases.filter((one) => found.has(one));
    if (!some.length) continue;
    rows.push({ kind: "rule", key: rule.id, rule, count: some.length, height: 2.6, bare: true });
    if (matrix.folded.has(rule.id)) continue;
    const scored = some.map((one) => [parting(found.get(one), columns), one]).sort(([a], [b]) => b - a);
    const parted = scored.filter(([score]) => score > 0 || columns.length < 2);
    const same = scored.slice(parted.length);
    for (const [, one] of parted) rows.push(...caseRows(one, found.get(one), columns));
    if (!same.length) continue;
    rows.push({ kind: "same", key: `${rule.id}=`, rule, count: same.length, height: 2.5, bare: true });
    if (matrix.agreed.has(rule.id)) for (const [, one] of same) rows.push(...caseRows(one, found.get(one), columns));
  }
  return rows;
}

function caseRows(one, some, columns) {
  const text = one.axes.length ? `${one.title} ${countOf(one, some)}` : one.title;
  const rows = [{ kind: "case", key: one.id, one, some, height: 3, text }];
  if (!matrix.opened.has(one.id)) return rows;
  const { axes, groups } = condensed(one, some, columns.map(({ platform }) => platform));
  const names = axes.map((at) => one.axes[at].name);
  rows.push({ kind: "axes", key: `${one.id}[`, names, height: 2.25, bare: true, rest: one.axes.filter(({ name }) => !names.includes(name)).map(({ name }) => name) });
  for (const variant of groups) {
    const values = axes.map((at) => valuesOf(variant)[at]);
    rows.push({ kind: "variant", key: idOf(variant), one, some: [variant], values, names, height: 3 });
  }
  return rows;
}

const countOf = (one, some) => (some.length < one.size ? `${some.length} of ${one.size}` : String(one.size));

/** The axes that make a difference to some platforms, and one variant for each combination of their values. */
function condensed(one, some, shown) {
  const answer = (variant) => shown.map((platform) => {
    const cell = cellOf(variant, platform);
    return GAPS.has(cell.basis) ? cell.basis : cell.outcome.index;
  }).join();
  const axes = one.axes.map((_, at) => at);
  let groups = some.map((variant) => ({ variant, answer: answer(variant) }));
  for (const axis of [...axes]) {
    const rest = axes.filter((at) => at !== axis);
    const merged = new Map();
    const matters = groups.some((group) => {
      const key = rest.map((at) => valuesOf(group.variant)[at]).join();
      const other = merged.get(key);
      if (!other) merged.set(key, group);
      return other && other.answer !== group.answer;
    });
    if (matters) continue;
    axes.splice(axes.indexOf(axis), 1);
    groups = [...merged.values()];
  }
  return { axes, groups: groups.map(({ variant }) => variant) };
}

/** What a cell of the grid is: of one variant itself, of several how many of them fail. */
function tally(row, platform) {
  row.tallies ??= new Map();
  if (row.tallies.has(platform)) return row.tallies.get(platform);
  const first = cellOf(row.some[0], platform);
  const bases = new Set();
  const kinds = { ok: 0, fails: 0, may: 0, unknown: 0, none: 0 };
  const texts = new Map();
  let one = true;
  for (const variant of row.some) {
    const cell = cellOf(variant, platform);
    bases.add(cell.basis);
    kinds[kindOf(cell)]++;
    one &&= alike(cell, first);
    if (kindOf(cell) === "fails") texts.set(cell.outcome.text, (texts.get(cell.outcome.text) ?? 0) + 1);
  }
  const order = Object.keys(BASES).reverse();
  const basis = order.find((each) => bases.has(each) && !GAPS.has(each)) ?? first.basis;
  const sum = { one, first, kinds, basis, texts: [...texts].sort((a, b) => b[1] - a[1]), count: row.some.length };
  row.tallies.set(platform, sum);
  return sum;
}

/** The step in which the shown systems record different values, all of their calls being ok; else -1. */
function telling(row, columns) {
  if (row.tell !== undefined) return row.tell;
  row.tell = -1;
  const shown = columns.map(({ platform }) => tally(row, platform).first).filter((cell) => kindOf(cell) === "ok");
  const at = (cell, step) => cell.outcome.steps.find(([number]) => number === step)?.[1];
  const steps = new Set(shown.flatMap((cell) => cell.outcome.steps.map(([number]) => number)));
  row.tell = [...steps].find((step) => new Set(shown.map((cell) => at(cell, step))).size > 1) ?? -1;
  return row.tell;
}

function drawCell(row, column, columns) {
  const sum = tally(row, column.platform);
  const variant = row.some[0];
  let kind = kindOf(sum.first);
  let [above, below] = sum.one ? briefly(variant, sum.first, telling(row, columns)) : ["", ""];
  let words = sum.one ? fully(variant, sum.first) : "";
  if (!sum.one) [kind, above, below, words] = counted(sum);
  if (!sum.one || sum.count > 1) words += `, in ${plural(sum.count, "variant")}`;
  const gap = GAPS.has(sum.basis);
  const how = !gap ? BASES[sum.basis][1] : kind === "none" || kind === "unknown" ? "" : "what follows is not known";
  const news = row.some.some((each) => isNews(cellOf(each, column.platform)));
  return el("div", { class: kind, "aria-label": `${words}${how && `; ${how}`}${news ? "; a run departed from what was known" : ""}` },
    el("span", { class: "above", "aria-hidden": "true" }, signed(kind === "none" ? "none" : kind), " ", above, el("span", { class: "marks" }, news && "≠", how && mark(sum.basis))),
    el("span", { class: "below", "aria-hidden": "true" }, below || (gap && sum.one && !how ? { unknown: "unknown", unsupported: "not there", missing: "missing" }[sum.basis] : "")));
}

/** Several variants that do not all do the same: how many fail, and with what. */
function counted({ kinds, texts, count }) {
  const known = count - kinds.unknown - kinds.none;
  const open = kinds.unknown + kinds.none;
  const rest = open ? `, ${open} not known` : "";
  if (!known) return ["unknown", "", "unknown", "not known or not asked"];
  if (kinds.fails) {
    const what = texts.length > 1 ? `${texts.length} errors` : shortly(texts[0][0]);
    return ["fails", `${kinds.fails} of ${count}`, what, `${kinds.fails} of ${count} fail, with ${texts.map(([text]) => text).join(", ")}${rest}`];
  }
  if (kinds.may) return ["may", `${kinds.may} of ${count}`, "", `${kinds.may} of ${count} may fail${rest}`];
  return ["ok", open ? `${known} of ${count}` : "ok", open ? "" : "varies", `every call succeeds in ${known} of ${count}${open ? rest : ", with different values"}`];
}

function drawName(row, stacked) {
  if (row.kind === "rule") {
    return el("div", { "aria-expanded": String(!matrix.folded.has(row.rule.id)) },
      el("span", { class: "fold", "aria-hidden": "true" }), el("b", null, row.rule.title), el("span", { class: "note" }, ` ${plural(row.count, "case")}`));
  }
  if (row.kind === "same") {
    return el("div", { "aria-expanded": String(matrix.agreed.has(row.rule.id)) },
      el("span", { class: "fold", "aria-hidden": "true" }), el("span", { class: "note" }, `${plural(row.count, "case")} in which all systems shown do the same`));
  }
  if (row.kind === "axes") {
    const same = row.rest.length ? ` (${row.rest.join(", ")}: no difference)` : "";
    return el("div", null, el("span", { class: "values" }, row.names.map((name) => el("span", null, name))), el("span", { class: "note" }, row.names.length ? same : `every variant does the same${same}`));
  }
  if (row.kind === "variant") {
    const words = row.values.map((value, at) => `${row.names[at]} ${value}`).join(", ");
    return el("div", { "aria-label": words || "every variant" },
      el("span", { class: "values", "aria-hidden": "true" }, row.values.length ? row.values.map((value) => el("span", null, value)) : "every variant"));
  }
  const opens = row.one.axes.length > 0;
  const count = countOf(row.one, row.some);
  return el("div", { "aria-expanded": opens ? String(matrix.opened.has(row.one.id)) : null },
    el("span", { class: opens ? "fold" : "leaf", "aria-hidden": "true" }),
    el("span", { class: "title" }, row.one.title),
    opens && el("span", { class: "note", "aria-label": `${count} variants` }, ` ${count}`));
}

/** What happens where one presses Enter or clicks: heads split, names open, cells lead to their case. */
function openCell(row, column) {
  const toggle = (set, key) => (set.has(key) ? set.delete(key) : set.add(key));
  if (!row) {
    if (!column || column.compared) return;
    if (!column.splits && !column.split) return announce(`${column.title} has one version here`);
    const split = new Set((matrix.params.split ?? "").split(",").filter(Boolean));
    toggle(split, column.family.stack);
    announce(`${column.title} ${column.split ? "as its newest version" : "split into ranges of versions"}`);
    return refine({ split: [...split].join(",") });
  }
  if (column) return leave(caseLink(row.some.find((variant) => kindOf(cellOf(variant, column.platform)) === "fails") ?? row.some[0], column.platform.name));
  if (row.kind === "rule") toggle(matrix.folded, row.rule.id);
  else if (row.kind === "same") toggle(matrix.agreed, row.rule.id);
  else if (row.kind === "case" && row.one.axes.length) toggle(matrix.opened, row.one.id);
  else if (row.kind === "case" || row.kind === "variant") return leave(caseLink(row.some[0]));
  refine({ open: [...matrix.opened].join(";") });
}

/** Opens a case; whoever comes back is where they were. */
function leave(to) {
  matrix.left = { at: location.hash, ...matrix.grid.position };
  travel(to);
}

/** Takes over changed parameters: the address follows, the grid shows what is asked for. */
function refine(changed) {
  Object.assign(matrix.params, changed);
  amend(fragment("cases", "", matrix.params));
  fillMatrix();
}
