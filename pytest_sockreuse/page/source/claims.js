// The claims of the documents: whether each holds, family by family, and the case that shows it.

const WORDS = { holds: ["ok", "holds"], refuted: ["fails", "refuted"], depends: ["may", "depends"] };

function claimsView(id) {
  const columns = families.filter((family) => family.platforms.every((one) => !one.cells)).map((family) => {
    const platform = newest(family);
    return { key: family.stack, platform, title: family.title, words: platform.label };
  });
  const rows = [];
  const documents = [...new Set(block.claims.map(([, document]) => document))];
  const sorted = documents.flatMap((document) => block.claims.filter((claim) => claim[1] === document));
  for (const [claim, document, text] of sorted) {
    if (rows.at(-1)?.document !== document) rows.push({ kind: "rule", key: document, document, height: 2.6, bare: true, text: document });
    rows.push({ kind: "case", key: claim, document, claim, height: 3, text: `${claim} ${text}`, words: text });
  }
  const draw = {
    corner: () => el("div", null, "Claim"),
    head: (column) => el("div", null, el("b", null, column.title), el("span", { class: "below" }, column.words)),
    name: (row) => (row.claim
      ? el("div", null, el("span", { class: "title" }, el("b", null, row.claim), ` ${row.words}`))
      : el("div", null, el("b", null, row.document))),
    cell: (row, column) => claimCell(heldOf(row.claim, column.platform)),
    open: openClaim,
  };
  const grid = new Grid("Claims and systems", draw);
  const view = el("section", { class: "claims", "aria-labelledby": "title" },
    el("h1", { id: "title", tabindex: -1 }, "What the documents claim"),
    el("p", null, "Each sentence was put to the test. It holds, is refuted, or depends on more than it says. A claim leads to its cases, a cell to the one that shows it."),
    grid.element);
  const shown = () => {
    grid.fill(rows, columns);
    const row = rows.findIndex((one) => one.key === id);
    if (row >= 0) grid.go(row, -1);
    return row >= 0;
  };
  return { title: "Claims", view, shown };
}

function openClaim(row, column) {
  if (!row?.claim) return;
  const held = column && heldOf(row.claim, column.platform);
  amend(fragment("claims", row.claim));
  if (held) travel(caseLink(variants[held.row], column.platform.name));
  else travel(fragment("cases", "", { claim: row.claim }));
}

function claimCell(held) {
  if (!held) return el("div", { class: "unknown", "aria-label": "not known" }, el("span", { class: "above" }, signed("unknown")));
  const [kind, word] = WORDS[held.word];
  const how = BASES[held.basis][1];
  return el("div", { class: kind, "aria-label": `${word}; ${held.against} of ${plural(held.tried, "variant")} against it; ${how}` },
    el("span", { class: "above", "aria-hidden": "true" }, signed(kind), " ", word, el("span", { class: "marks" }, mark(held.basis))),
    el("span", { class: "below", "aria-hidden": "true" }, held.word === "depends" ? `not in ${held.against} of ${held.tried}` : ""));
}

/** What a claim comes to on a platform, or null. */
function heldOf(claim, platform) {
  heldOf.rows ??= unwound({ strands: block.strandsHeld, vectors: block.vectorsHeld });
  const found = block.holds[heldOf.rows[block.held[claim]]?.[platform.index]];
  return found ? { word: found[0], row: found[1], basis: found[2], tried: found[3], against: found[4] } : null;
}
