// The claims of the documents: whether each holds, family by family, and the case that shows it.

const WORDS = { holds: ["ok", "✓", "holds"], refuted: ["fails", "✗", "refuted"], depends: ["may", "±", "depends"] };

function claimsView(id) {
  const documents = new Set(block.claims.map(([, document]) => document));
  const columns = families.filter((family) => family.platforms.some((one) => !one.cells));
  const head = el("tr", null, el("th", { scope: "col" }, "Claim"), columns.map((family) => el("th", { scope: "col" }, family.title, el("br"), el("small", null, newest(family).label))));
  const cell = (claim, family) => {
    const held = heldOf(claim, newest(family));
    if (!held) return el("td", { class: "cell unknown" }, el("span", { "aria-hidden": "true" }, "?"), hidden("not known"));
    const [kind, sign, word] = WORDS[held.word];
    const variant = variants[held.row];
    const link = inside(caseLink(variant, newest(family).name), el("span", { "aria-hidden": "true" }, sign), ` ${word} `, mark(held.basis), hidden(`${BASES[held.basis][1]}; ${held.against} of ${held.tried} variants are against it`));
    return el("td", { class: `cell ${kind}` }, link);
  };
  const row = ([claim, , text]) => el("tr", { id: `claim-${claim}`, class: claim === id ? "mine" : null },
    el("th", { scope: "row" }, inside(fragment("claims", claim), claim), ` ${text} `, inside(fragment("cases", "", { claim }), "cases")),
    columns.map((family) => cell(claim, family)));
  const view = el("section", { class: "claims", "aria-labelledby": "title" },
    el("h1", { id: "title", tabindex: -1 }, "What the documents claim"),
    el("p", { class: "lead" }, "Each sentence was put to the test. It holds, is refuted, or depends on more than it says; each word leads to a case that shows it."),
    [...documents].map((document) => [el("h2", null, document),
      el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": document }, el("table", { class: "wide" }, el("thead", null, head.cloneNode(true)), el("tbody", null, block.claims.filter((claim) => claim[1] === document).map(row))))]));
  const shown = () => {
    const row = id ? document.getElementById(`claim-${id}`) : null;
    row?.scrollIntoView({ block: "center" });
    row?.querySelector("a").focus({ preventScroll: true });
    return Boolean(row);
  };
  return { title: "Claims", view, shown };
}

/** What a claim comes to on a platform, or null. */
function heldOf(claim, platform) {
  heldOf.rows ??= unwound({ strands: block.strandsHeld, vectors: block.vectorsHeld });
  const found = block.holds[heldOf.rows[block.held[claim]]?.[platform.index]];
  return found ? { word: found[0], row: found[1], basis: found[2], tried: found[3], against: found[4] } : null;
}
