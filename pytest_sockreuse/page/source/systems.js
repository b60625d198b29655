// Where each column comes from: what ran, when, how; how old it is; and what was left out.

const OLD = 30; // days

/** The days since the last date that a run names, or null. */
function age(run) {
  const dates = (run.facts.date ?? "").match(/\d{4}-\d{2}-\d{2}/g);
  const then = dates && Date.parse(`${dates.sort().at(-1)}T00:00:00Z`);
  return then ? Math.max(0, Math.floor((Date.now() - then) / 86400000)) : null;
}

function ageWords(days) {
  if (days === null) return "no date";
  return days === 0 ? "today" : `${plural(days, "day")} ago`;
}

function systemsView() {
  const left = block.left.map(([file, why]) => el("li", null, el("code", null, file), " ", bounded(why)));
  const old = platforms.flatMap((one) => one.runs).map(age).filter((days) => days !== null);
  const stale = old.length && Math.min(...old) > OLD;
  const view = el("section", { class: "systems", "aria-labelledby": "title" },
    el("h1", { id: "title", tabindex: -1 }, "Where each column comes from"),
    el("p", { class: "lead" }, `Suite ${block.suite}: ${plural(cases.length, "case")}, ${plural(variants.length, "variant")}. `,
      `Systems are described here, and not scored: there is no total, and a call that fails is no fault.`),
    stale ? el("p", { class: "message" }, `The newest run on this page is more than ${OLD} days old.`) : null,
    el("h2", null, "Left out"), left.length ? el("ul", { class: "left" }, left) : el("p", null, "Nothing: every results file that was given is on this page."),
    families.map(familyPart),
    el("h2", null, "Your system"),
    el("p", null, "What is not here can be: ", el("code", null, "pytest --sockreuse --sockreuse-only --sockreuse-report results.jsonl"), " measures a system. ",
      inside(fragment("file"), "Open that file on this page"), ", and send it to the project if it shows something new."));
  return { title: "Systems", view, shown() {} };
}

function familyPart(family) {
  const run = family.platforms.filter((one) => one.runs.length).reverse();
  const rest = family.platforms.filter((one) => !one.runs.length);
  const how = rest[0]?.modelled ? `no model (${rest[0].modelled}), only what is stated` : "what is stated, and the model";
  return el("section", null, el("h2", null, family.title), run.length ? el("ul", { class: "runs" }, run.map(systemPart)) : null,
    rest.length ? el("p", null, `Not run: ${rest.map((one) => one.label).join(", ")}; ${how}.`) : null);
}

function systemPart(platform) {
  const runs = platform.runs.map((run) => {
    const days = age(run);
    const facts = Object.entries({ ...run.facts, suite: run.suite, ...run.knobs }).filter(([key, value]) => value && key !== "date");
    const counts = [`${run.asked} asked`, run.unsupported && `${run.unsupported} could not be asked`, run.stale && `${run.stale} of another scenario, not used`, run.missing && `${run.missing} not yet measured`];
    return el("details", null,
      el("summary", null, el("code", null, run.file), ` ${run.facts.date ?? ""} `, el("span", { class: days !== null && days > OLD ? "old" : "note" }, `${ageWords(days)}${days !== null && days > OLD ? ", old" : ""}`)),
      el("p", null, counts.filter(Boolean).join(" · ")),
      el("dl", { class: "facts" }, facts.map(([key, value]) => el("div", null, el("dt", null, key), el("dd", null, bounded(value))))));
  });
  return el("li", null, el("h3", null, platform.title), runs);
}
