// One case: its question, a grid of its axes, and of the chosen variant every call with every platform's outcome.

function caseView(id, params) {
  const one = caseById.get(id.split("[")[0]);
  if (!one) return missingView("case", id, "cases");
  const named = variantsOf(one).find((variant) => idOf(variant) === id);
  const open = { one, variant: named ?? variants[one.start], on: platformNear(params.on ?? "") ?? newest(families[0]) };
  const parts = Object.fromEntries(["name", "axes", "calls", "versions", "how", "repeat"].map((key) => [key, el("div", { class: key })]));
  const show = (moved = {}) => {
    Object.assign(open, moved);
    amend(caseLink(open.variant, open.on.name));
    parts.name.replaceChildren(el("p", { class: "id" }, copyable(idOf(open.variant), "the id of this variant")));
    const chosen = parts.axes.contains(document.activeElement) && document.activeElement.ariaLabel;
    if (moved.part !== "axes") parts.axes.replaceChildren(...axesPart(open, show));
    if (chosen && moved.part !== "axes") [...parts.axes.querySelectorAll("select")].find((one) => one.ariaLabel.startsWith(chosen.split(" (")[0]))?.focus();
    parts.calls.replaceChildren(callsTable(open));
    parts.versions.replaceChildren(versionsPart(open, show));
    parts.how.replaceChildren(...howPart(open));
    parts.repeat.replaceChildren(...repeatPart(open));
  };
  const strange = !named && id !== one.id && el("p", { class: "message" }, `This page has no variant ${id.slice(0, 200)}; here is the first of its case.`);
  const view = el("article", { class: "case", "aria-labelledby": "title" },
    el("p", { class: "crumbs" }, inside(fragment("cases"), "Cases"), " › ", inside(fragment("cases", "", { rule: one.rule.id }), one.rule.title)),
    el("h1", { id: "title", tabindex: -1 }, one.title), strange,
    el("p", { class: "lead" }, one.why), one.fact && el("p", null, one.fact), parts.name, parts.axes,
    el("h2", null, "Every call, on every platform"), parts.calls,
    el("h2", null, "By version"), parts.versions,
    el("h2", null, "How we know"), parts.how,
    claimsPart(one),
    el("h2", null, "Try it"), parts.repeat,
    el("details", { class: "key" }, el("summary", null, "What the signs mean"), legend()));
  return { title: one.title, view, shown: show };
}

/** The axes: those that matter to the chosen platform as a grid of two, the others each with a choice. */
function axesPart(open, show) {
  const { one, variant, on } = open;
  if (!one.axes.length) return [];
  const { axes } = condensed(one, variantsOf(one), [on]);
  const both = ["first", "second"].map((name) => one.axes.findIndex((axis) => axis.name === name));
  const [down, across] = both.every((at) => axes.includes(at)) ? both : axes.length > 1 ? axes.slice(-2) : [axes[0], axes[0]];
  const values = valuesOf(variant);
  const take = (at, value) => variantWith(one, changed(valuesOf(open.variant), at, value));
  const rest = one.axes.map((_, at) => at).filter((at) => at !== down && at !== across);
  const choices = rest.map((at) => choice(
    `${one.axes[at].name}${axes.includes(at) ? "" : " (no difference)"}`,
    one.axes[at].values.map((value) => [value, value]), values[at], (value) => show({ variant: take(at, value) })));
  return [
    el("div", { class: "bar" },
      choice("On", platforms.map((platform) => [platform.name, platform.title]), on.name, (name) => show({ on: platformOf(name) })), choices),
    down === undefined ? el("p", null, `Every variant of this case does the same on ${on.title}.`) : axesGrid(open, down, across, show),
  ];
}

const changed = (values, at, value) => values.map((old, axis) => (axis === at ? value : old));

function axesGrid(open, down, across, show) {
  const { one, on } = open;
  const flat = down === across;
  const rows = flat ? [""] : one.axes[down].values;
  const at = (row, column) => {
    const values = changed(valuesOf(open.variant), across, column);
    return variantWith(one, flat ? values : changed(values, down, row));
  };
  const cell = (row, column) => {
    const variant = at(row, column);
    const found = cellOf(variant, on);
    const [above, below] = briefly(variant, found, 0);
    const chosen = variant === open.variant;
    return el("td", {
      role: "gridcell", class: `cell ${kindOf(found)}`, tabindex: chosen ? 0 : -1, "aria-selected": String(chosen),
      "aria-label": `${fully(variant, found)}; ${BASES[found.basis][1]}`, "data-id": idOf(variant),
      click: (event) => choose(event.currentTarget),
    }, signed(kindOf(found)), " ", above, " ", below, " ", GAPS.has(found.basis) ? "" : mark(found.basis));
  };
  const choose = (target) => {
    for (const other of table.querySelectorAll("td")) {
      other.setAttribute("aria-selected", String(other === target));
      other.tabIndex = other === target ? 0 : -1;
    }
    show({ variant: variantsOf(one).find((variant) => idOf(variant) === target.dataset.id), part: "axes" });
    target.focus();
  };
  const table = el("table", { role: "grid", "aria-label": `Outcomes by ${flat ? "" : `${one.axes[down].name} and `}${one.axes[across].name} on ${on.title}` },
    el("thead", null, el("tr", { role: "row" }, el("th", { role: "columnheader", class: "corner" }, flat ? one.axes[across].name : `${one.axes[down].name} \\ ${one.axes[across].name}`),
      one.axes[across].values.map((value) => el("th", { role: "columnheader", scope: "col" }, value)))),
    el("tbody", null, rows.map((row) => el("tr", { role: "row" }, el("th", { role: "rowheader", scope: "row" }, row), one.axes[across].values.map((column) => cell(row, column))))));
  table.addEventListener("keydown", (event) => arrows(event, choose));
  return el("div", { class: "scroll" }, table);
}

/** Arrow keys in a small table whose cells can be chosen. */
function arrows(event, choose) {
  const cell = event.target.closest("td");
  const [down, across] = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key] ?? [];
  if (!cell || down === undefined) return;
  event.preventDefault();
  const to = cell.closest("table").rows[cell.parentNode.rowIndex + down]?.cells[cell.cellIndex + across];
  if (to?.matches("td")) choose(to);
}

/** Platforms that do the same, as groups; each with its ranges in words. */
function groupsOf(variant) {
  const groups = new Map();
  for (const family of families) {
    for (const range of rangesOf(family, variant)) {
      const cell = cellOf(variant, range.platforms.at(-1));
      const key = GAPS.has(cell.basis) ? cell.basis : cell.outcome.index;
      const group = groups.get(key) ?? { cell, who: new Map() };
      groups.set(key, group);
      group.who.set(family, [...(group.who.get(family) ?? []), range]);
    }
  }
  return [...groups.values()];
}

function whoWords(who) {
  return [...who].map(([family, ranges]) => {
    const all = ranges.length === 1 && ranges[0].platforms.length === family.platforms.length;
    return all ? family.title : `${family.title} ${ranges.map((range) => range.words).join(", ")}`;
  });
}

function callsTable({ variant, on }) {
  const groups = groupsOf(variant);
  const lines = linesOf(variant);
  const mine = cellOf(variant, on);
  const head = groups.map(({ cell, who }) => el("th", { role: "columnheader", scope: "col", class: alike(cell, mine) ? "mine" : null },
    el("ul", null, whoWords(who).map((words) => el("li", null, words)))));
  const body = lines.map((line) => el("tr", { role: "row" },
    el("th", { role: "rowheader", scope: "row" }, el("code", null, line.text)),
    groups.map(({ cell }) => {
      const text = line.labels.length ? (GAPS.has(cell.basis) ? (line.first ? "" : BASES[cell.basis][1]) : ofLine(line, cell.outcome)) : "";
      const said = saidCell(text);
      said.setAttribute("role", "cell");
      if (GAPS.has(cell.basis)) said.className = "unknown";
      return said;
    })));
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Every call, on every platform" },
    el("table", { class: "steps", role: "table" },
      el("thead", null, el("tr", { role: "row" }, el("th", { role: "columnheader", scope: "col" }, "call"), head)), el("tbody", null, body)));
}

/** The versions of each family as ranges that do the same; with each how its versions are known. */
function versionsPart({ variant, on }, show) {
  const pick = (platform) => (event) => {
    const name = event.currentTarget.id;
    show({ on: platform });
    document.getElementById(name)?.focus();
    document.querySelector(".how").scrollIntoView({ block: "nearest" });
    announce(`How we know it of ${platform.title}`);
  };
  const segment = (range) => {
    const chosen = range.platforms.includes(on);
    const known = range.platforms.findLast((one) => cellOf(variant, one).basis === "run") ?? range.platforms.at(-1);
    const cell = cellOf(variant, known);
    const bases = new Map();
    for (const one of range.platforms) {
      const { basis } = cellOf(variant, one);
      bases.set(basis, (bases.get(basis) ?? 0) + 1);
    }
    const [above, below] = briefly(variant, cell);
    const how = [...bases].map(([basis, count]) => `${count} ${BASES[basis][1]}`).join(", ");
    const button = el("button", {
      type: "button", class: kindOf(cell), id: `v-${known.name}`, "aria-pressed": String(chosen), click: pick(known),
      "aria-label": `${range.family.title} ${range.words}: ${fully(variant, cell)}; ${how}`,
    }, el("b", null, range.words), " ", el("span", null, signed(kindOf(cell)), " ", above, " ", below), " ",
      el("span", { class: "marks" }, [...bases].map(([basis, count]) => [el("span", { class: "mark" }, BASES[basis][0]), `${count} `])));
    button.style.flexGrow = range.platforms.length;
    return button;
  };
  return el("dl", { class: "timeline" }, families.map((family) => el("div", null,
    el("dt", null, family.title), el("dd", null, rangesOf(family, variant).map(segment)))));
}

function howPart({ variant, on }) {
  const cell = cellOf(variant, on);
  const [sign, name, words] = BASES[cell.basis];
  const parts = [
    el("h3", null, `${on.title}: ${fully(variant, cell)}`),
    el("p", null, el("span", { class: "mark" }, sign), " ", el("b", null, name), `. ${words}`, cell.why && el("span", null, " ", bounded(cell.why))),
  ];
  if (cell.expected) {
    parts.push(el("p", { class: "message" }, `The run departed from what was known, ${fully(variant, { basis: "model", outcome: cell.expected })}. The system may have changed, or our expectation may be the mistake: please tell us.`));
  }
  else if (isNews(cell)) parts.push(el("p", { class: "message" }, "Runs of this version were asked and did not do the same: see below."));
  if (cell.statement) parts.push(statementPart(cell.statement));
  parts.push(...clausesPart(variant, cell, on.family), ...runsPart(variant, cell, on));
  return parts;
}

function statementPart([at, basis, evidence, note]) {
  return el("div", null, el("h4", null, "What is stated"),
    el("p", null, `${STATED[basis]}, in `, el("code", null, `conformance/rules/${at}`), note && ". ", note && bounded(note)),
    el("ul", null, evidence.map((key) => el("li", null, outside(block.evidence[key]?.[1], block.evidence[key]?.[0] ?? key)))));
}

/** The clauses of the model that decide, of the step that fails first; those of the other steps on demand. */
function clausesPart(variant, cell, family) {
  const labels = labelsOf(variant);
  const found = new Map();
  for (const [step, name] of cell.clauses) {
    if (clauseOf(family, name)) found.set(name, [...(found.get(name) ?? []), step]);
  }
  if (!found.size) return [];
  const entry = ([name, steps]) => {
    const clause = clauseOf(family, name);
    return el("div", { class: "clause" }, el("dt", null, el("code", null, clause.name), ` decides ${steps.map((step) => labels[step]).slice(0, 6).join(", ")}`),
      el("dd", null, el("q", null, clause.sentence), el("br"), el("small", null, `${clause.source} (${clause.confidence}${clause.span ? `, ${clause.span}` : ""})`)));
  };
  const all = [...found];
  const first = all.filter(([, steps]) => steps.includes(cell.outcome.step));
  const rest = all.filter((one) => !first.includes(one));
  return [el("h4", null, "The clause of the model that decides"), first.length ? el("dl", null, first.map(entry)) : null,
    rest.length ? el("details", null, el("summary", null, `Clauses of the ${first.length ? "other calls" : "calls"}`), el("dl", null, rest.map(entry))) : null].filter(Boolean);
}

const STATES = { match: "as expected", differs: "departed from what was known", unsupported: "could not be asked", broken: "did not get through", missing: "not asked" };

function runsPart(variant, cell, on) {
  if (!on.runs.length) return [];
  const rows = cell.seen.map((seen, at) => {
    const run = on.runs[at];
    const shown = seen.outcome && linesOf(variant).map((line) => [line, ofLine(line, seen.outcome)]).filter(([line, text]) => line.labels.length && text !== "ok");
    return el("li", null, el("code", null, run.file), `${run.facts.date ? ` (${run.facts.date})` : ""}: ${STATES[seen.state] ?? seen.state}`,
      shown && (shown.length ? `; ${shown.map(([line, text]) => `${line.labels[0]} ${text}`).join(", ")}` : "; every call succeeded"), seen.reason && [". ", bounded(seen.reason)]);
  });
  return [el("h4", null, "Runs on this version"), el("ul", null, rows)];
}

function claimsPart(one) {
  if (!one.claims.length) return null;
  const text = (id) => block.claims.find(([other]) => other === id);
  return el("div", null, el("h2", null, "What the documents claim"),
    el("ul", null, one.claims.map((id) => el("li", null, inside(fragment("claims", id), id), ` ${text(id)?.[2] ?? ""}`))));
}

/** Where the playground is, if the site that this page lies in has one and says so. */
const playground = document.querySelector('meta[name="playground"]')?.content;

/** The commands that perform this variant: alone, as a case of the suite, and by the model of the chosen platform. */
function repeatPart({ one, variant, on }) {
  const scenario = textOf(variant).replace(/\n*$/, "\n");
  const modelled = on.modelled ? "" : `\nsockreuse predict case.scenario --on ${on.name} --why`;
  return [
    playground && el("p", null, el("a", { href: `${playground}#scenario=${encodeURIComponent(scenario)}` }, "Open in the playground"), ", where every model answers as you change it."),
    el("p", null, "On your machine, call by call, in a shell:"),
    copyable(`cat > case.scenario <<'END'\n${scenario}END\nsockreuse run case.scenario${modelled}`, "the commands", true),
    el("p", null, "Or as a case of the suite, with its verdict:"),
    copyable(`pytest --sockreuse=${one.rule.id} --sockreuse-only -k '${idOf(variant).split("/")[1]}'`, "the command", true),
  ].filter(Boolean);
}

function missingView(what, id, back) {
  return {
    title: `No such ${what}`,
    view: el("section", { "aria-labelledby": "title" }, el("h1", { id: "title", tabindex: -1 }, `This page has no ${what} ${id.slice(0, 200)}`),
      el("p", null, `It may have been renamed since the link was made. `, inside(fragment(back, "", { q: id.split(/[/[]/)[1] ?? id }), "Search for it"), ".")),
    shown() {},
  };
}
