// What every system does, line by line: a table with a column for each group of systems that do the same; and of one
// line why.

import { el, hidden, outside } from "./dom.js";
import { saidCell, signed } from "./outcome.js";

const named = ([system, versions]) => `${system} ${versions}`.trim();
const listed = (who) => who.map(named).join(", ");

/** The line that is explained while nobody chose one: where systems differ, else the first that does not succeed. */
export function telling({ lines, differ }) {
  if (differ >= 0) return differ;
  return lines.findIndex((line) => line.says.some((text) => !/^(ok|\d|\[|unreached)/.test(text)));
}

/** The table; `choose(number of a line)` is called for the one that is to be explained. */
export function answerTable(answer, source, chosen, choose) {
  const { lines, groups, differ } = answer;
  if (!lines.length) return el("p", { class: "note" }, "No call yet. Begin with a socket, such as ", el("code", null, "A = tcp4()"), ".");
  const one = groups.length === 1;
  const head = groups.map(({ who }) => el("th", { role: "columnheader", scope: "col" }, el("ul", null, who.map((each) => el("li", null, named(each))))));
  const body = lines.map((line, at) => {
    const cells = line.says.map(saidCell);
    for (const cell of cells) cell.setAttribute("role", "cell");
    return el("tr", { role: "row", class: at === differ ? "differ" : null },
      el("th", { role: "rowheader", scope: "row" },
        el("button", { type: "button", class: "line", "aria-pressed": String(at === chosen), click: () => choose(at), "data-line": line.line },
          el("code", null, source[line.line - 1].split("#")[0].trim())),
        at === differ && el("span", { class: "first" }, "≠", hidden(" the"), " first difference")),
      cells);
  });
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "What each call comes to, on every system" },
    el("table", { class: "steps", role: "table" },
      el("caption", { class: one ? null : "hidden" }, one ? "All systems do the same." : `${groups.length} groups of systems`),
      el("thead", null, el("tr", { role: "row" }, el("th", { role: "columnheader", scope: "col" }, "call"), head)),
      el("tbody", null, body)));
}

/** Why a line comes to what it does, group by group: the clauses that decide, each with its sentence. */
export function reasons(answer, source, chosen) {
  const line = answer.lines[chosen];
  if (!line) return [el("p", { class: "note" }, "Choose a call in the table.")];
  const parts = answer.groups.map(({ who }, group) => {
    const said = saidCell(line.says[group]);
    return el("section", { class: "reason" },
      el("h3", null, el("span", { class: `pill ${said.className}` }, [...said.childNodes]), " ", listed(who)),
      clauseList(line.why[group], answer.clauses));
  });
  return [el("p", null, el("code", null, source[line.line - 1].trim())), ...parts];
}

function clauseList(why, clauses) {
  const sentences = new Map();
  for (const [who, number, more] of why) {
    const clause = clauses[number] ?? { sentence: more, unknown: true };
    const entry = sentences.get(clause.sentence) ?? [];
    sentences.set(clause.sentence, [...entry, { who, clause, against: clause.unknown ? "" : more }]);
  }
  if (!sentences.size) return el("p", { class: "note" }, "No clause stands against it.");
  return el("dl", null, [...sentences].map(([sentence, entries]) => el("div", { class: "clause" },
    el("dt", null, entries.flatMap(({ who }) => who).map(named).join(", "),
      entries[0].against && [", against ", el("code", null, entries[0].against)]),
    el("dd", null, entries[0].clause.unknown ? sentence : [el("q", null, sentence), " ", el("code", null, entries[0].clause.name)],
      !entries[0].clause.unknown && sourcesOf(entries)))));
}

/** Where a clause is written in each of the systems that have it, and how sure we are. */
function sourcesOf(entries) {
  const sources = new Map();
  for (const { who, clause } of entries) {
    const words = `${clause.source} (${clause.confidence}${clause.span ? `, ${clause.span}` : ""})`;
    sources.set(words, [...(sources.get(words) ?? []), ...who]);
  }
  return [...sources].map(([words, who]) => el("small", { class: "from" }, sources.size > 1 && `${listed(who)}: `, words));
}
