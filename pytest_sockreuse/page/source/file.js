// A results file of one's own: read here, in this page, and sent nowhere. It becomes a column beside the others.

const MOST_BYTES = 64 * 1024 * 1024;
const MOST_RESULTS = 200000;

/** A file that is none of results; the message names the line. */
class Unreadable extends Error {}

function fileView() {
  const input = el("input", { type: "file", accept: ".jsonl,.json,.txt", change: () => input.files[0] && take(input.files[0]) });
  const view = el("section", { class: "file", "aria-labelledby": "title" },
    el("h1", { id: "title", tabindex: -1 }, "A results file of your own"),
    el("p", { class: "lead" }, "Drop it anywhere on this page, or choose it. It is read here and leaves your machine at no time: this page can reach no network."),
    el("label", { class: "drop" }, el("b", null, "Choose a results file"), input),
    el("p", null, "Make one with ", el("code", null, "pytest --sockreuse --sockreuse-only --sockreuse-report results.jsonl"), "."),
    el("div", { id: "taken", role: "alert" }, take.said ?? null));
  return { title: "Your file", view, shown() {} };
}

/** Takes a file in, and says on the page what it shows. */
async function take(file) {
  try {
    if (file.size > MOST_BYTES) throw new Unreadable(`${file.name} has more than ${MOST_BYTES / 1048576} MB`);
    take.said = el("div", null, (await readResults(await file.text())).map((run) => ownPart(own(run, file.name), file.name)));
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
    take.said = el("p", { class: "wrong" }, `Could not read ${file.name.slice(0, 200)}: ${error.message}`);
  }
  if (here().view !== "file") travel(fragment("file"));
  else document.getElementById("taken").replaceChildren(take.said);
}

/** The runs in a results file, format 1 or 2. Raises Unreadable. */
async function readResults(text) {
  const runs = [];
  let open = null;
  let left = MOST_RESULTS;
  for (const [at, line] of text.replace(/\n$/, "").split("\n").entries()) {
    const fail = (what) => { throw new Unreadable(`line ${at + 1}: ${what}`); };
    let entry;
    try {
      entry = JSON.parse(line);
    } catch {
      fail("not a line of a results file");
    }
    if (entry === null || typeof entry !== "object" || Array.isArray(entry)) fail("not a line of a results file");
    if ("sockreuse" in entry) {
      if (open) fail("a footer should stand before the next header");
      if (![1, 2].includes(entry.sockreuse)) fail("a header of format 1 or 2 should stand here");
      if (!/^[a-z0-9]+-[A-Za-z0-9._-]{1,60}$/.test(entry.platform)) fail("a header should name its platform, as in linux-6.18.44");
      if (!/^[0-9a-f]{12}$/.test(entry.suite)) fail("a header should name its suite, by twelve hexadecimal digits");
      runs.push((open = { about: entry, results: new Map(), lines: [] }));
    } else if (!open) fail("a header should stand here");
    else if ("footer" in entry) {
      if (entry.results !== open.results.size) fail(`${String(entry.results).slice(0, 20)} results announced, ${open.results.size} there`);
      open = null;
    } else {
      if (!isResult(entry)) fail("not a line of a results file");
      const ids = unfolded(entry.id, left);
      if (!ids) fail("no ids of variants, or too many");
      left -= ids.length;
      for (const id of ids) {
        if (open.results.has(id)) fail(`${id} a second time`);
        open.results.set(id, entry);
      }
      open.lines.push([entry, ids.sort()]);
    }
  }
  if (open || !runs.length) throw new Unreadable("no footer: the file is truncated, or its run was cut short");
  for (const run of runs) await checkAsked(run);
  return runs;
}

function isResult({ id, content, verdict, outcome, reason = "" }) {
  const texts = outcome && typeof outcome === "object" && !Array.isArray(outcome) ? Object.entries(outcome) : null;
  return typeof id === "string" && id.length < 100000 && /^[0-9a-f]{12}$/.test(content) && Object.hasOwn(VERDICTS, verdict)
    && texts !== null && texts.every(([step, text]) => /^[A-Za-z]\w*\.[a-z]+(#[1-9]\d*)?$/.test(step) && typeof text === "string" && text.length <= 1000)
    && typeof reason === "string" && reason.length <= 10000;
}

const VERDICTS = { match: "run", mismatch: "run", unknown: "run", unsupported: "unsupported", broken: "missing" };

/** The ids that a line names as a shell's braces do, or null where there are more than `most`. */
function unfolded(text, most) {
  const [, stem, inner] = /^([a-z0-9-]+\/[a-z0-9-]+)(?:\[(.*)\])?$/.exec(text) ?? [];
  if (!stem) return null;
  if (inner === undefined) return [text];
  const found = [];
  for (const one of alternatives(inner)) {
    const parts = one.match(/\{[^{}]*\}|[^{}]+/g)?.map((part) => part.replace(/^\{|\}$/g, "").split(",")) ?? [];
    const count = parts.reduce((product, part) => product * part.length, 1);
    if (found.length + count > most || !parts.length) return null;
    let texts = [""];
    for (const part of parts) texts = texts.flatMap((before) => part.map((value) => before + value));
    found.push(...texts.map((values) => `${stem}[${values}]`));
  }
  return found;
}

/** Pairs that stand side by side are in braces of their own, `{a-{b,c},d}`; else there is one. */
function alternatives(text) {
  const parts = [];
  let depth = 0;
  let start = 1;
  for (let at = 0; at < text.length; at++) {
    if (text[at] === "{") depth++;
    else if (text[at] === "}" && --depth === 0 && at < text.length - 1) return [text];
    else if (text[at] === "," && depth === 1) {
      parts.push(text.slice(start, at));
      start = at + 1;
    }
  }
  if (text[0] !== "{" || !/\{.*\{/.test(text)) return [text];
  return [...parts, text.slice(start, -1)];
}

/** Leaves out what was asked by another scenario than this page's: `content` is a hash of what a line asked. */
async function checkAsked(run) {
  run.other = 0;
  if (run.about.suite === block.suite || !globalThis.crypto?.subtle) return;
  const hash = async (text) => {
    const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
    return [...bytes.slice(0, 6)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  };
  for (const [entry, ids] of run.lines) {
    const asked = ids.map(variantById).filter(Boolean);
    const contents = await Promise.all(asked.map((variant) => hash(`${textOf(variant).replace(/\n*$/, "")}\n`)));
    const whole = contents.length === 1 ? contents[0] : await hash(contents.join(""));
    if (asked.length === ids.length && whole === entry.content) continue;
    run.other += ids.length;
    for (const id of ids) run.results.delete(id);
  }
}

function variantById(id) {
  const one = caseById.get(id.split("[")[0]);
  if (!one) return undefined;
  one.ids ??= new Map(variantsOf(one).map((variant) => [idOf(variant), variant]));
  return one.ids.get(id);
}
