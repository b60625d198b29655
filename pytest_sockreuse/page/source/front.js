// The first view: the ten differences that bite most, what the signs mean, and where to go on.

/** The front is in the page from the start, in words; here signs and marks are put in. */
function frontView() {
  const view = frontView.kept;
  if (!frontView.drawn) {
    frontView.drawn = true;
    view.querySelectorAll("[data-row]").forEach((item) => {
      const variant = variants[Number(item.dataset.row)];
      if (variant) item.querySelector(".strip").replaceWith(strip(variant));
    });
    view.append(el("h2", null, "What the signs mean"), legend());
  }
  return { title: "", view, shown() {} };
}

/** Who does what in a variant, on the newest version of each family: a line for each behaviour. */
function strip(variant) {
  const groups = new Map();
  for (const family of families) {
    const cell = cellOf(variant, newest(family));
    if (GAPS.has(cell.basis) || kindOf(cell) === "unknown") continue;
    const key = fully(variant, cell);
    groups.set(key, [...(groups.get(key) ?? []), { family, cell }]);
  }
  return el("ul", { class: "strip" }, [...groups].map(([words, who]) => el("li", null,
    el("span", { class: `pill ${kindOf(who[0].cell)}` }, signed(kindOf(who[0].cell)), " ", words), " ",
    who.map(({ family, cell }, at) => [at ? ", " : "", family.title, " ", mark(cell.basis), hidden(` (${BASES[cell.basis][1]})`)]))));
}
frontView.kept = document.getElementById("front");
