// The head of the view of all cases: search, filters, comparison, columns; and what it says when nothing is found.

function casesView(params) {
  matrix.params = { ...params };
  matrix.opened = new Set((params.open ?? "").split(";").filter((id) => caseById.has(id)));
  matrix.folded.clear();
  const draw = {
    corner: () => el("div", null, el("span", { id: "count" })),
    head: (column) => el("div", {
      "aria-label": `${column.title} ${column.words}${column.splits ? ", can be split into versions" : ""}`,
      "aria-expanded": column.splits || column.split ? String(Boolean(column.split)) : null,
    }, el("b", null, column.title), el("span", { class: "below" }, column.words, (column.splits || column.split) && el("span", { class: "fold", "aria-hidden": "true" }))),
    name: (row) => drawName(row, grid.stacked),
    cell: (row, column) => drawCell(row, column, grid.columns),
    open: openCell,
  };
  const grid = new Grid("Cases and systems", draw);
  matrix.grid = grid;
  matrix.message = el("div", { class: "message", role: "alert" });
  const view = el("section", { class: "cases", "aria-labelledby": "title" },
    el("h1", { id: "title", class: "hidden", tabindex: -1 }, "All cases"), bar(), matrix.message, grid.element,
    el("details", { class: "key" }, el("summary", null, "What the signs mean"), legend()));
  const shown = () => {
    fillMatrix();
    if (matrix.left?.at === location.hash) grid.restore(matrix.left);
    return matrix.left?.at === location.hash;
  };
  return { title: "Cases", view, shown };
}

function bar() {
  const field = el("input", {
    type: "search", value: matrix.params.q ?? "", placeholder: "bind  linux:INUSE  differ:macos,windows", "aria-describedby": "how",
    autocomplete: "off", spellcheck: "false", input: () => refine({ q: field.value.trim() }),
  });
  const some = (label, key, options) => choice(label, [["", "any"], ...options], matrix.params[key] ?? "", (value) => refine({ [key]: value }));
  const names = [["", "–"], ...platforms.map((one) => [one.name, one.title])];
  const [a = "", b = ""] = (matrix.params.compare ?? "").split(",").map((name) => platformNear(name)?.name ?? "");
  const pair = [a, b];
  const compare = (at) => (value) => {
    pair[at] = value;
    refine({ compare: pair.every(Boolean) ? pair.join(",") : "" });
  };
  const only = el("input", { type: "checkbox", checked: matrix.params.all !== "1", change: () => refine({ all: only.checked ? "" : "1" }) });
  return el("form", { class: "bar", role: "search", submit: (event) => event.preventDefault() },
    el("label", { class: "choice wide" }, el("span", null, "Search"), field),
    moreButton(),
    el("div", { class: "filters" },
        some("Rule", "rule", rules.map((one) => [one.id, one.title])),
        some("Claim", "claim", block.claims.map(([id, , text]) => [id, `${id} ${text.slice(0, 80)}`])),
        some("Error", "errno", errnos().map((one) => [one, one])),
        choice("Compare", names, a, compare(0)), choice("with", names, b, compare(1)),
        el("label", { class: "choice check", id: "only" }, only, " only where they differ")),
    columnsMenu(),
    el("p", { id: "how", class: "hint" }, "Words, ", el("code", null, "platform:outcome"), " (ok, fails, INUSE, bind, second.bind=ACCES, unknown), ", el("code", null, "differ:A,B"), " or ", el("code", null, "differ:linux"), " for its versions."));
}

/** On a narrow screen the filters are there when they are asked for, or used. */
function moreButton() {
  const used = ["rule", "claim", "errno", "compare"].some((key) => matrix.params[key]);
  return el("button", { type: "button", class: "more", "aria-expanded": String(used), click: ({ currentTarget: button }) =>
    button.setAttribute("aria-expanded", String(button.getAttribute("aria-expanded") !== "true")) }, "Filters");
}

/** Which families have a column. */
function columnsMenu() {
  const off = new Set((matrix.params.hide ?? "").split(",").filter(Boolean));
  const box = (family) => {
    const input = el("input", { type: "checkbox", checked: !off.has(family.stack), change: () => {
      if (input.checked) off.delete(family.stack);
      else off.add(family.stack);
      refine({ hide: [...off].join(",") });
    } });
    return el("label", null, input, ` ${family.title}`);
  };
  return el("details", { class: "menu" }, el("summary", null, "Columns"), el("fieldset", { "aria-label": "Columns" }, families.map(box)));
}

/** Fills the grid by the parameters; where nothing is found, or the search is unclear, says so. */
function fillMatrix() {
  const { params, grid, message } = matrix;
  let found = new Map();
  let why = "";
  const pair = params.compare && params.all !== "1" ? params.compare.split(",").map(platformNear).filter(Boolean) : [];
  try {
    found = searched(params, pair.length === 2 ? [(variant) => departs(variant, pair)] : []);
  } catch (error) {
    if (!(error instanceof Unclear)) throw error;
    why = error.message;
  }
  matrix.found = found;
  const count = [...found.values()].reduce((sum, some) => sum + some.length, 0);
  const columns = columnsOf(params, found);
  grid.fill(rowsOf(found, columns), columns);
  const all = found.size === cases.length && count === variants.length;
  const number = document.getElementById("count");
  const text = all ? `${plural(found.size, "case")}` : `${found.size} of ${plural(cases.length, "case")}, ${plural(count, "variant")}`;
  if (number) number.textContent = text;
  grid.element.hidden = !found.size;
  document.getElementById("only").hidden = !params.compare;
  const other = (params.compare ?? "").split(",").filter((name) => name && platformNear(name)?.name !== name && !families.some((one) => one.stack === name));
  message.replaceChildren(
    ...(why ? [el("p", { class: "wrong" }, why)] : []),
    ...(!why && !found.size ? [el("p", null, "No case fits this search. Everything has been loaded: take a word or a filter away.")] : []),
    ...other.map((name) => el("p", null, `This page has no ${name.slice(0, 80)}${platformNear(name) ? `; ${platformNear(name).title} is the nearest` : ""}.`)));
  announce(why || text);
}
