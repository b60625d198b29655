// What a cell says: in a few characters with a sign, in words, and how we know.

const SIGNS = { ok: "✓", fails: "✗", may: "±", unknown: "?", none: "–" };

const BASES = {
  run: ["●", "run on this version", "A machine of this very version performed the scenario."],
  measured: ["◐", "measured on its neighbours", "Versions before or after it performed the scenario, and nothing is known to have changed between."],
  documented: ["¶", "documented", "The vendor's documentation or tests say so."],
  source: ["{}", "read in source", "Somebody read the kernel's source, or ran something else on it."],
  model: ["≈", "modelled", "Nobody tried: the executable model of the system predicts it."],
  inferred: ["∴", "inferred", "Concluded from a related fact. The first run may well refute it."],
  unknown: ["?", "unknown", "Nobody knows: nothing ran, nothing is written, and the model does not cover it."],
  unsupported: ["⊘", "cannot be asked", "The system lacks what the scenario needs, such as a protocol or a setting."],
  missing: ["–", "missing", "No run has asked this yet, and there is no model."],
};
const STATED = { measured: "measured by runs of this suite", documented: BASES.documented[1], source: BASES.source[1], model: BASES.model[1], inferred: BASES.inferred[1] };
const GAPS = new Set(["unknown", "unsupported", "missing"]);

const isWord = (text) => /^(ok|timeout|unreached|E[A-Z0-9]+)$/.test(text);

/** What a whole outcome comes to: its kind, and the step that says so. */
function summed(steps) {
  let may = null;
  for (const [step, text] of steps) {
    if (text === "unreached") continue;
    if (text === "?") return may ?? { kind: "unknown", step, text };
    const alternatives = text.split("|");
    const failures = alternatives.filter((one) => isWord(one) && one !== "ok");
    if (failures.length === alternatives.length) return may ?? { kind: "fails", step, text };
    if (failures.length && !may) may = { kind: "may", step, text: failures.join("|") };
  }
  return may ?? { kind: "ok", step: -1, text: "" };
}

const kindOf = (cell) => (cell.basis === "unsupported" || cell.basis === "missing" ? "none" : cell.outcome.kind);

/** An errno without what most of them begin with: EADDRINUSE is INUSE. */
const shortly = (text) => text.split("|").map((one) => one.replace(/^E(ADDR)?(?=[A-Z])/, "")).join("/");

/** A step by its verb and the number of its socket: the bind of the second socket is bind₂. */
function shortStep(variant, step) {
  const labels = labelsOf(variant);
  const [name, verb] = (labels[step] ?? "").split(/[.#]/);
  const names = [...new Set(labels.map((label) => label.split(".")[0]))];
  const number = String(names.indexOf(name) + 1).replace(/\d/g, (digit) => "₀₁₂₃₄₅₆₇₈₉"[digit]);
  return verb === undefined ? "" : names.length > 1 ? verb + number : verb;
}

/** The two lines of a cell of one variant. Where shown systems record different values, `tell` is the step that does. */
function briefly(variant, cell, tell = -1) {
  const kind = kindOf(cell);
  const { step, text } = cell.outcome;
  if (kind === "fails") return [shortStep(variant, step), shortly(text)];
  if (kind === "may") return [shortStep(variant, step), `or ${shortly(text)}`];
  if (kind !== "ok") return ["", ""];
  const value = tell < 0 ? undefined : cell.outcome.steps.find(([at]) => at === tell)?.[1];
  return ["ok", value === undefined ? "" : value.split("|")[0].replace(/^.*:/, ":")];
}

/** A cell of one variant in words. */
function fully(variant, cell) {
  const kind = kindOf(cell);
  const { step, text } = cell.outcome;
  const label = labelsOf(variant)[step] ?? "a step";
  const said = text.replaceAll("|", " or ");
  if (kind === "fails") return text === "timeout" ? `${label} times out` : `${label} fails with ${said}`;
  if (kind === "may") return `${label} succeeds or fails with ${said}`;
  if (kind === "ok") return "every call succeeds";
  return BASES[cell.basis]?.[1] ?? "unknown";
}

/** Whether a run departed from what was known, or two runs of one version from each other. */
function isNews(cell) {
  if (cell.expected) return true;
  const asked = cell.seen.filter((seen) => seen.outcome);
  return asked.some((seen) => seen.state !== "match" && seen.outcome !== asked[0].outcome);
}

/** The mark that says how we know. Words say it too, for whoever does not see the mark. */
function mark(basis) {
  return el("span", { class: "mark", "aria-hidden": "true" }, BASES[basis][0]);
}

function signed(kind) {
  return el("span", { class: "sign", "aria-hidden": "true" }, SIGNS[kind]);
}

/** The outcome of each line of a scenario, in full. */
function ofLine(line, outcome) {
  const texts = line.labels.map((_, at) => outcome.steps.find(([step]) => step === line.first + at)?.[1] ?? "ok");
  const counts = new Map();
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
  if (counts.size < 2) return texts[0] ?? "";
  return [...counts].map(([text, count]) => `${count} ${text}`).join(", ");
}

/** What a call came to, or the calls of a line, as a cell of a table of calls. */
function saidCell(text) {
  const parts = text.split(", ").map((part) => part.replace(/^\d+ (?=\w)/, "").split("|"));
  const failing = parts.map((part) => part.filter((one) => isWord(one) && !["ok", "unreached"].includes(one)).length);
  const kind = parts.flat().every((one) => ["", "ok", "unreached"].includes(one)) ? "quiet"
    : parts.flat().some((one) => ["?", "unknown", "not run"].includes(one)) ? "unknown"
    : parts.some((part, at) => failing[at] === part.length) ? "fails"
    : failing.some(Boolean) ? "may" : "value";
  const words = text.replaceAll("unreached", "not reached").replace(/^(\?|unknown)$/, "not known").replaceAll("|", " or ");
  const sign = ["fails", "may"].includes(kind) && signed(kind);
  return el("td", { class: kind }, sign, sign && " ", words);
}

function legend() {
  const signs = [
    ["ok", "every call of the scenario succeeds"],
    ["fails", "the call that fails first, of which socket (bind₂: of the second), and the error without EADDR or E"],
    ["may", "the system may choose: it succeeds, or fails so"],
    ["unknown", "not known"],
    ["none", "not asked, or cannot be asked there"],
  ];
  const news = ["≠", "news", "A run departed from what was known, or two runs differ. The system may have changed, or our expectation may be the mistake."];
  const rows = [...Object.values(BASES), news].filter(([sign]) => !["?", "–"].includes(sign));
  return el("div", { class: "legend" },
    el("dl", null, signs.map(([kind, words]) => el("div", null, el("dt", { class: `swatch ${kind}` }, SIGNS[kind]), el("dd", null, words)))),
    el("dl", null, rows.map(([sign, name, words]) => el("div", null, el("dt", null, el("span", { class: "mark" }, sign)), el("dd", null, el("b", null, name), `. ${words}`)))));
}
