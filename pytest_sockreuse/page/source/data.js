// The data block made into objects: platforms, cells, cases and their variants. Numbers in it are places in its tables.

const block = JSON.parse(document.getElementById("data").textContent);

const families = block.families.map(([stack, title]) => ({ stack, title, platforms: [] }));

const platforms = block.platforms.map(([family, label, runs, modelled], index) => {
  const platform = {
    index,
    label,
    modelled,
    family: families[family],
    name: `${families[family].stack}-${label}`,
    title: `${families[family].title} ${label}`,
    runs: runs.map((run) => block.runs[run]),
  };
  platform.family.platforms.push(platform);
  return platform;
});

/** The newest version of a family of which something is known. */
function newest(family) {
  const known = (platform) => platform.runs.length > 0 || !platform.modelled;
  return family.platforms.findLast(known) ?? family.platforms.at(-1);
}

/** Numbers that were written as differences, each from the one before. */
function summedUp(differences) {
  let sum = 0;
  return differences.map((difference) => (sum += difference));
}

/** Pairs of a step and what is said of it, the step as its distance from the one before. */
function stepsOf(sparse) {
  const found = [];
  let step = 0;
  for (let at = 0; at < sparse.length; at += 2) found.push([(step += sparse[at]), sparse[at + 1]]);
  return found;
}

/**
 * Rows over all platforms. A row names a strand of each family; a strand is run lengths over its versions, the numbers
 * as differences through the whole table, and the last length goes without saying.
 */
function unwound({ strands, vectors }) {
  const tables = strands.map((table, at) => {
    const length = families[at].platforms.length;
    let number = 0;
    return table.map((strand) => {
      const parts = Array.isArray(strand) ? strand : [strand];
      const found = [];
      for (let each = 0; each < parts.length; each += 2) {
        number += parts[each];
        for (let left = parts[each + 1] ?? length - found.length; left > 0; left--) found.push(number);
      }
      return found;
    });
  });
  const columns = vectors.map(summedUp);
  return (columns[0] ?? []).map((_, at) => columns.flatMap((column, family) => tables[family][column[at]]));
}

/** An outcome names the steps that are not just ok, in order: `steps` are [number of the step, text]. */
const outcomes = block.outcomes.map((sparse, index) => {
  const steps = stepsOf(sparse).map(([step, text]) => [step, block.texts[text]]);
  return { index, steps, ...summed(steps) };
});

const clauseSets = block.clauses.map(stepsOf);

/** Of each statement its place, its basis, its evidence and a note; the first is none. */
const statements = (({ words, columns }) => {
  const [files = [], lines, ...rest] = columns.map(summedUp);
  return [null, ...files.map((file, at) => [`${words[file]}:${lines[at]}`, ...rest.map((column) => words[column[at]])])];
})(block.statements);

const cells = [];
{
  const columns = block.cells.map(summedUp);
  block.seenIn.forEach((seen, index) => {
    const [outcome, clauses, basis, statement, why, expected] = columns.map((column) => column[index]);
    cells.push({
      index,
      outcome: outcomes[outcome],
      clauses: clauseSets[clauses],
      basis: block.bases[basis],
      statement: statements[statement],
      why: block.whys[why],
      expected: outcomes[expected] ?? null,
      seen: (seen || []).map((number) => seenOf(block.seen[number - 1], outcomes[outcome])),
    });
  });
}

/** What one run showed; without an entry of its own just what is known. */
function seenOf(entry, known) {
  if (!entry) return { state: "match", outcome: known, reason: "" };
  const [state, outcome, reason] = entry;
  return { state, outcome: outcomes[outcome] ?? null, reason: block.whys[reason] };
}

/** For each vector the cell of each platform. */
const vectors = unwound(block);

const rules = block.rules.map(([id, title, about]) => ({ id, title, about, cases: [] }));

const cases = block.cases.map(([rule, name, title, why, fact, claims, axes, scenario, size], index) => {
  const one = { index, name, title, why, fact, claims, scenario, size, rule: rules[rule], start: 0 };
  one.id = `${one.rule.id}/${name}`;
  one.axes = axes.map((axis) => ({ name: block.axes[axis][0], values: Object.keys(block.axes[axis][1]), words: block.axes[axis][1] }));
  one.rule.cases.push(one);
  return one;
});
const caseById = new Map(cases.map((one) => [one.id, one]));

/** Every variant of every case, in the order of the suite; a case has those from `start` on, its last axis fastest. */
const variants = [];
{
  const rows = summedUp(block.rows);
  for (const one of cases) {
    one.start = variants.length;
    for (let number = 0; number < one.size; number++) variants.push({ index: variants.length, of: one, number, vector: rows[variants.length] });
  }
}
const variantsOf = (one) => variants.slice(one.start, one.start + one.size);

/** The value that a variant has on each axis of its case. */
function valuesOf(variant) {
  if (variant.values) return variant.values;
  let rest = variant.number;
  const values = [];
  for (const axis of [...variant.of.axes].reverse()) {
    values.unshift(axis.values[rest % axis.values.length]);
    rest = Math.floor(rest / axis.values.length);
  }
  return (variant.values = values);
}

/** The variant of a case with these values. */
function variantWith(one, values) {
  let number = 0;
  one.axes.forEach((axis, at) => (number = number * axis.values.length + Math.max(0, axis.values.indexOf(values[at]))));
  return variants[one.start + number];
}

function idOf(variant) {
  const values = valuesOf(variant);
  return values.length ? `${variant.of.id}[${values.join("-")}]` : variant.of.id;
}

/** The scenario of a variant: its case's text with the words of its values put in; a word may itself name others. */
function textOf(variant) {
  const words = {};
  valuesOf(variant).forEach((value, at) => {
    const axis = variant.of.axes[at];
    words[axis.name] = value;
    Object.assign(words, axis.words[value]);
  });
  let text = variant.of.scenario;
  for (let round = 0; round < 4 && text.includes("{"); round++) {
    text = text.replace(/\{(\w+)\}/g, (whole, word) => (Object.hasOwn(words, word) ? words[word] : whole));
  }
  return text;
}

/** The lines of a scenario; each has the labels of its steps, as results name them, and the first one's number. */
function linesOf(variant) {
  if (variant.lines) return variant.lines;
  const count = {};
  let number = 0;
  variant.lines = textOf(variant).replace(/\n+$/, "").split("\n").map((text) => {
    const line = { text, first: number, labels: [] };
    for (const call of expanded(text.split("#")[0].trim())) {
      const found = /^(\w+)(?: ?= ?\w+(?:\.(\w+))?\(|\.(\w+)\()/.exec(call);
      if (!found) continue;
      const label = `${found[1]}.${found[3] ?? found[2] ?? "socket"}`;
      count[label] = (count[label] ?? 0) + 1;
      line.labels.push(count[label] > 1 ? `${label}#${count[label]}` : label);
    }
    number += line.labels.length;
    return line;
  });
  return variant.lines;
}

/** The calls that a line stands for: `S[1-3].close()` are three. */
function expanded(line) {
  const range = /\[(\d{1,9})-(\d{1,9})\]/g;
  const [first] = line.matchAll(range);
  if (!first) return [line];
  const size = Math.min(Number(first[2]) - Number(first[1]) + 1, 10000);
  return Array.from({ length: size }, (_, offset) => line.replace(range, (_whole, low) => Number(low) + offset));
}

const labelsOf = (variant) => linesOf(variant).flatMap((line) => line.labels);

/** What is known of a variant on a platform; a file of one's own is a platform that brings its own cells. */
function cellOf(variant, platform) {
  return cells[platform.cells ? platform.cells[variant.index] : vectors[variant.vector][platform.index]];
}

/** The sentence, source, confidence and versions of a clause in the book of a family. */
function clauseOf(family, name) {
  const found = block.books[family.stack]?.[name];
  return found && { name: block.names[name], sentence: block.sentences[found[0]], source: found[1], confidence: found[2], span: found[3] };
}
