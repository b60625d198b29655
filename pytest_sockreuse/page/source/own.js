// A run of one's own beside what is known: a platform that brings its own cells.

/** Makes a run a column; returns it, with what it came to. */
function own(run, file) {
  const name = run.about.platform;
  const known = platformNear(name);
  const family = families.find((one) => one.stack === "yours") ?? { stack: "yours", title: "Your file", platforms: [] };
  if (!families.includes(family)) families.unshift(family);
  const at = family.platforms.findIndex((one) => one.label === name);
  const platform = {
    index: -1, label: name, name: `yours-${name}`, title: `Your ${name}`, family, modelled: "a file of yours", cells: [],
    runs: [{ file: file.slice(0, 200), suite: run.about.suite, facts: factsOf(run.about), knobs: {}, asked: run.results.size }],
    known, counts: { same: 0, differs: [], unsupported: 0, open: 0, missing: 0, other: run.other },
  };
  for (const variant of variants) platform.cells.push(ownCell(variant, run.results.get(idOf(variant)), platform));
  if (at < 0) {
    family.platforms.push(platform);
    platforms.unshift(platform);
  } else {
    platforms[platforms.indexOf(family.platforms[at])] = platform;
    family.platforms[at] = platform;
  }
  for (const one of cases) delete one.ids;
  return platform;
}

const factsOf = (about) => Object.fromEntries(
  Object.entries(about).filter(([key, value]) => typeof value === "string" && !["platform", "suite"].includes(key)).map(([key, value]) => [key.slice(0, 40), value.slice(0, 200)]));

function ownCell(variant, entry, platform) {
  const { counts, known } = platform;
  const basis = entry ? VERDICTS[entry.verdict] : "missing";
  if (basis !== "run") {
    counts[basis]++;
    return newCell({ basis, outcome: outcomes[0], why: entry?.reason ?? "" });
  }
  const labels = labelsOf(variant);
  const seen = labels.map((label) => (Object.hasOwn(entry.outcome, label) ? entry.outcome[label] : "ok"));
  const expected = known && cellOf(variant, known);
  const meets = (cell) => cell && !GAPS.has(cell.basis) && cell.outcome.kind !== "unknown" && allows(cell.outcome, seen);
  if (!expected || GAPS.has(expected.basis) || expected.outcome.kind === "unknown") counts.open++;
  else if (meets(expected)) counts.same++;
  else counts.differs.push(variant);
  const like = meets(expected) ? expected : vectors[variant.vector].map((cell) => cells[cell]).find(meets);
  const exact = outcomeWith(seen);
  return newCell({ basis, outcome: like?.outcome ?? exact, seen: [{ state: meets(expected) ? "match" : "differs", outcome: exact, reason: "" }], clauses: like?.clauses });
}

const made = new Map();

function newCell({ basis, outcome, why = "", seen = [], clauses = [] }) {
  const key = [basis, outcome.index, why, seen[0]?.state, seen[0]?.outcome?.index].join("\n");
  if (!made.has(key)) {
    made.set(key, cells.length);
    cells.push({ index: cells.length, basis, outcome, why, seen, clauses, statement: null, expected: null });
  }
  return made.get(key);
}

/** The outcome with these texts, one for each step. */
function outcomeWith(texts) {
  const steps = [...texts.entries()].filter(([, text]) => text !== "ok");
  const key = JSON.stringify(steps);
  outcomeWith.known ??= new Map(outcomes.map((one) => [JSON.stringify(one.steps), one]));
  if (!outcomeWith.known.has(key)) {
    const one = { index: outcomes.length, steps, ...summed(steps) };
    outcomes.push(one);
    outcomeWith.known.set(key, one);
  }
  return outcomeWith.known.get(key);
}

/** Whether what was seen is a way that an outcome allows. Where the system chose, a file has all that it may choose from. */
function allows(outcome, seen) {
  const allowed = new Map(outcome.steps);
  return seen.every((text, step) => text.split("|").some((one) =>
    (allowed.get(step) ?? "ok").split("|").some((may) => one === may || may === "?" || (may === "ok" && !isWord(one)) || sameValue(one, may))));
}

function sameValue(value, may) {
  const [, host, low, high] = /^(.*):(\d+)(?:\.\.(\d+))?$/.exec(may) ?? [];
  const [, there, from, to] = /^(.*):(\d+)(?:\.\.(\d+))?$/.exec(value) ?? [];
  return host !== undefined && host === there && Number(low) <= Number(to ?? from) && Number(from) <= Number(high ?? low);
}

/** What a run of one's own came to, in words, with the ways on. */
function ownPart(platform, file) {
  const { counts, known } = platform;
  const list = counts.differs.slice(0, 20).map((variant) => el("li", null, inside(caseLink(variant, platform.name), idOf(variant)), `: ${fully(variant, cellOf(variant, platform))}`));
  const facts = [
    known && [`${counts.same} as this page says of ${known.title}`],
    known && [`${counts.differs.length} otherwise`],
    counts.open && [`${counts.open} of which nothing is known there`],
    counts.unsupported && [`${counts.unsupported} could not be asked`],
    counts.other && [`${counts.other} of another scenario than this page's, not used`],
    counts.missing && [`${counts.missing} not in the file`],
  ].filter(Boolean);
  return el("div", null, el("h2", null, `${file.slice(0, 200)}: ${platform.label}`), el("ul", null, facts.map(([text]) => el("li", null, text))),
    list.length ? [el("h3", null, "Otherwise than this page says"), el("p", null, "The system may be another than it seems, or this page may be wrong. Either is news."), el("ul", null, list)] : null,
    el("p", null, inside(fragment("cases"), "All cases, with your column"), known && " · ",
      known && inside(fragment("cases", "", { compare: `${platform.name},${known.name}` }), `Compared with ${known.title}`)));
}

/** Files may be dropped anywhere. */
function takeDrops() {
  const over = (on) => document.body.classList.toggle("over", on);
  addEventListener("dragover", (event) => {
    event.preventDefault();
    over(true);
  });
  addEventListener("dragleave", (event) => !event.relatedTarget && over(false));
  addEventListener("drop", (event) => {
    event.preventDefault();
    over(false);
    const [file] = event.dataTransfer?.files ?? [];
    if (file) take(file);
  });
}
