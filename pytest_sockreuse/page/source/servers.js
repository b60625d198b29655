// Servers of languages and frameworks, by what their listen call sets: what happens when two of them take one port.

const SCENES = block.servers?.scenes ?? [];

function serversView(_id, params) {
  const table = block.servers;
  if (!table) return missingView("table of servers", "", "cases");
  const names = table.runtimes.map((one) => [one.name, one.title]);
  const known = (name) => table.runtimes.some((one) => one.name === name);
  const open = {
    scene: SCENES.some(({ id }) => id === params.scene) ? params.scene : SCENES[0].id,
    first: known(params.first) ? params.first : names[0][0],
    second: known(params.second) ? params.second : names[0][0],
    on: platformNear(params.on ?? "") ?? newest(families[0]),
  };
  const out = el("div", { "aria-live": "polite" });
  const show = (moved = {}) => {
    Object.assign(open, moved);
    amend(fragment("servers", "", { scene: open.scene, first: open.first, second: open.second, on: open.on.name }));
    out.replaceChildren(...pairPart(open));
    grid.fill(grid.rows, grid.columns);
  };
  const draw = {
    corner: () => el("div", null, "first \\ second"),
    head: (column) => el("div", { "aria-label": `second: ${column.title}` }, el("span", { class: "title" }, column.title)),
    name: (row) => el("div", { "aria-label": `first: ${row.title}` }, el("span", { class: "title" }, row.title)),
    cell: (row, column) => pairCell(meeting(open.scene, row.at, column.at, open.on)),
    open: (row, column) => show({ ...(row && { first: row.key }), ...(column && { second: column.key }) }),
  };
  const grid = new Grid("First and second server", draw);
  const choices = el("div");
  const bar = () => choices.replaceChildren(el("div", { class: "bar" },
    choice("What happens", SCENES.map(({ id, title }) => [id, title.replace("{first}", "one").replace("{second}", "another")]), open.scene, (scene) => show({ scene })),
    choice("First", names, open.first, (first) => show({ first })), choice("Second", names, open.second, (second) => show({ second })),
    choice("On", platforms.filter((one) => !one.cells).map((one) => [one.name, one.title]), open.on.name, (name) => show({ on: platformOf(name) }))));
  bar();
  const rows = table.runtimes.map((one, at) => ({ key: one.name, title: one.title, at, kind: "case", height: 3, text: one.title }));
  const view = el("section", { class: "servers", "aria-labelledby": "title" },
    el("h1", { id: "title", tabindex: -1 }, "Two servers and one port"),
    el("p", { class: "lead" }, "What the listen call of each language and server sets by default decides whether a second one starts. Worked out by the models from what each sets."),
    choices, out, el("h2", null, "Every pair on ", el("span", { id: "pairs-on" })), grid.element, runtimesPart(table));
  return { title: "Servers", view, shown: () => {
    grid.fill(rows, rows);
    show();
  } };
}

/** What happens between two runtimes on a platform: the outcome, and the text of the scenario. */
function meeting(scene, first, second, platform) {
  const table = block.servers;
  table.answers ??= unwound(table);
  table.summed ??= { pairs: table.pairs.map(summedUp), cells: {} };
  const rows = (table.summed.cells[scene] ??= table.cells[scene].map(summedUp));
  const vector = rows[table.classes[first]][table.classes[second]];
  if (vector < 0) return { ok: null, none: true, words: "they do not meet: one takes connections, the other datagrams" };
  const pair = table.answers[vector]?.[platform.index];
  const [text, outcome] = table.summed.pairs.map((column) => column[pair]);
  if (outcome === undefined) return null;
  return { ...table.outcomes[outcome], text: text < 0 ? "" : table.texts[text].map((line) => table.lines[line]).join("\n") };
}

const meetingKind = (met) => (met?.none ? "none" : !met || met.ok === null ? "unknown" : met.ok ? "ok" : "fails");

function pairCell(met) {
  const kind = meetingKind(met);
  const label = met ? met.words.replaceAll("{first}", "the first").replaceAll("{second}", "the second") : "not known";
  const [step, error] = [met?.step?.split(".")[1] ?? "", shortly(met?.error ?? "")];
  return el("div", { class: kind, "aria-label": label }, el("span", { class: "above" }, signed(kind), " ", kind === "ok" ? "runs" : step), el("span", { class: "below" }, error));
}

/** One pair on the newest version of every family, split where its versions differ. */
function pairPart({ scene, first, second, on }) {
  const table = block.servers;
  const at = (name) => table.runtimes.findIndex((one) => one.name === name);
  const [a, b] = [at(first), at(second)];
  const title = (index) => table.runtimes[index].title;
  const words = (text) => text.replaceAll("{first}", title(a)).replaceAll("{second}", title(b));
  const met = (platform) => meeting(scene, a, b, platform);
  document.getElementById("pairs-on")?.replaceChildren(on.title);
  const rows = families.filter((family) => family.platforms.every((one) => !one.cells)).flatMap((family) =>
    folded(family, (one, other) => met(one)?.words === met(other)?.words).map((range) => {
      const found = met(range.platforms.at(-1));
      const kind = meetingKind(found);
      return el("tr", null, el("th", { scope: "row" }, `${family.title} ${range.platforms.length === family.platforms.length ? "" : range.words}`),
        el("td", { class: `cell ${kind}` }, signed(kind), " ", found ? words(found.words) : "not known"));
    }));
  const here = met(on);
  return [el("h2", null, words(SCENES.find(({ id }) => id === scene).title)),
    el("table", { class: "pairs" }, el("thead", { class: "hidden" }, el("tr", null, el("th", { scope: "col" }, "System"), el("th", { scope: "col" }, "What happens"))), el("tbody", null, rows)),
    here?.text && el("details", null, el("summary", null, `The calls, as on ${on.title}`), copyable(here.text, "the scenario", true))].filter(Boolean);
}

/** What each runtime sets, with its version and where that was found. */
function runtimesPart(table) {
  const one = (runtime) => el("details", null, el("summary", null, el("b", null, runtime.title), ` ${runtime.call}`),
    el("p", null, runtime.version && `Version ${runtime.version}. `, runtime.told && "The program names the address; this one is assumed. ", runtime.note && bounded(runtime.note)),
    el("ul", null, runtime.listens.map((listen) => el("li", null, `${listen.systems.map((stack) => families.find((family) => family.stack === stack)?.title ?? stack).join(", ")}: `,
      listen.sockets.map((socket) => el("code", null, socket, " ")), ` (${listen.basis}: `,
      listen.evidence.map((key, at) => [at ? "; " : "", outside(block.evidence[key]?.[1], block.evidence[key]?.[0] ?? key)]), ")"))));
  return el("div", null, el("h2", null, "What each sets"), table.runtimes.map(one));
}
