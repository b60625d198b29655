// The search: words, `platform:outcome`, `differ:A,B`, and the filters by rule, claim and errno.

/** Something in a search that cannot be understood; the message says what can. */
class Unclear extends Error {}

/** The platform of a name: a family stands for its newest version, 6.1 for the newest of that line. */
function platformOf(name) {
  const family = families.find((one) => one.stack === name);
  if (family) return newest(family);
  const exact = platforms.find((one) => one.name === name);
  return exact ?? platforms.findLast((one) => one.name.startsWith(`${name}.`)) ?? null;
}

/** As `platformOf`, for a link that outlives a version: then the nearest one of that family. Says if it is another. */
function platformNear(name) {
  const found = platformOf(name);
  if (found) return found;
  const family = families.find((one) => name.startsWith(`${one.stack}-`));
  if (!family) return null;
  const number = (label) => (label.match(/\d+/g) ?? []).map(Number);
  const before = (a, b) => {
    for (let at = 0; at < Math.max(a.length, b.length); at++) if ((a[at] ?? 0) !== (b[at] ?? 0)) return (a[at] ?? 0) < (b[at] ?? 0);
    return true;
  };
  const wanted = number(name.slice(family.stack.length + 1));
  return family.platforms.findLast((one) => before(number(one.label), wanted)) ?? family.platforms[0];
}

function knownPlatform(name) {
  const found = platformOf(name);
  if (found) return found;
  throw new Unclear(`There is no platform ${name} on this page. There are ${families.map((one) => one.stack).join(", ")}, and their versions, as in linux-6.1.`);
}

/** What an outcome in a search says of a cell. */
function outcomeTest(word) {
  const lower = word.toLowerCase();
  const simple = { ok: "ok", fails: "fails", may: "may" }[lower];
  if (simple) return (cell) => kindOf(cell) === simple;
  if (lower === "modelled") return (cell) => cell.basis === "model";
  if (Object.hasOwn(BASES, lower)) return (cell) => cell.basis === lower || (lower === "unknown" && kindOf(cell) === "unknown");
  const [left, right] = word.includes("=") ? word.split("=") : [null, word];
  const errno = right.toUpperCase().replace(/^(?!E[A-Z])/, "");
  const step = left ?? (/^[A-Z0-9]+$/.test(right) ? null : right.toLowerCase());
  const failure = left === null && step !== null ? null : errno;
  return (cell, labels) => {
    const { kind, text, step: at } = cell.outcome;
    if (kind !== "fails" && kind !== "may") return false;
    if (failure && !text.split("|").some((one) => one === failure || shortly(one) === failure)) return false;
    if (!step) return true;
    const label = labels()[at]?.toLowerCase() ?? "";
    return label === step || label.split(/[.#]/)[1] === step;
  };
}

/** The tests that a search puts to a variant, cheapest first. Raises Unclear. */
function testsOf(query) {
  const tests = [];
  for (const word of query.split(/\s+/).filter(Boolean)) {
    const [, head, rest] = /^([A-Za-z][\w.-]*):(.+)$/.exec(word) ?? [];
    if (head?.toLowerCase() === "differ") tests.push(differTest(rest.split(",").filter(Boolean)));
    else if (head) tests.push(cellTest(knownPlatform(head.toLowerCase()), outcomeTest(rest)));
    else if (/^E[A-Z0-9]{3,}$/.test(word)) tests.push(errnoTest(word));
    else tests.push(wordTest(word.toLowerCase()));
  }
  return tests;
}

const cellTest = (platform, test) => (variant) => test(cellOf(variant, platform), () => labelsOf(variant));

/** Two platforms differ where both are known and do something else; one family, where any two of its versions do. */
function differTest(names) {
  const some = names.map((name) => knownPlatform(name.toLowerCase()));
  const all = names.length === 1 && families.find((one) => one.stack === names[0].toLowerCase());
  if (!all && some.length < 2) throw new Unclear("differ: takes two platforms or more, or one family: differ:linux,windows or differ:linux");
  return (variant) => departs(variant, all ? all.platforms : some);
}

/** Whether any two of some platforms are known to do something else. */
function departs(variant, some) {
  let first = null;
  for (const platform of some) {
    const cell = cellOf(variant, platform);
    if (GAPS.has(cell.basis)) continue;
    if (first && first !== cell.outcome) return true;
    first ??= cell.outcome;
  }
  return false;
}

function errnoTest(errno) {
  const has = new Set(outcomes.filter((one) => one.steps.some(([, text]) => text.split("|").includes(errno))));
  const found = new Map();
  return (variant) => {
    if (!found.has(variant.vector)) found.set(variant.vector, vectors[variant.vector].some((cell) => has.has(cells[cell].outcome)));
    return found.get(variant.vector);
  };
}

function wordTest(word) {
  const inCase = new Map();
  return (variant) => {
    const one = variant.of;
    if (!inCase.has(one)) inCase.set(one, haystack(one).includes(word));
    return inCase.get(one) || valuesOf(variant).some((value) => value.includes(word)) || idOf(variant).toLowerCase().includes(word);
  };
}

function haystack(one) {
  one.haystack ??= [one.id, one.title, one.why, one.fact, one.scenario, one.rule.title, ...one.claims].join("\n").toLowerCase();
  return one.haystack;
}

/** The variants that pass a search and the filters, by case. Raises Unclear. */
function searched({ q = "", rule = "", claim = "", errno = "" }, more = []) {
  const tests = [...(errno ? [errnoTest(errno)] : []), ...more, ...testsOf(q)];
  const found = new Map();
  for (const one of cases) {
    if (rule && one.rule.id !== rule) continue;
    if (claim && !one.claims.includes(claim)) continue;
    const some = tests.length ? variantsOf(one).filter((variant) => tests.every((test) => test(variant))) : variantsOf(one);
    if (some.length) found.set(one, some);
  }
  return found;
}

/** Every error that any platform gives, those that most outcomes have first. */
function errnos() {
  const count = new Map();
  for (const { steps } of outcomes) {
    for (const [, text] of steps) for (const word of text.split("|")) if (/^E[A-Z]/.test(word)) count.set(word, (count.get(word) ?? 0) + 1);
  }
  return [...count].sort((a, b) => b[1] - a[1]).map(([word]) => word);
}
