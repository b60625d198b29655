// Elements. What somebody wrote becomes text and nothing else: this page never parses HTML.

// Whatever goes wrong is said: an empty search is something else than a page that could not be loaded.
addEventListener("error", (event) => {
  const said = `This page could not be loaded whole: the file is damaged, or this browser too old (${event.message}).`;
  if (!document.querySelector(".broken")) document.getElementById("main").before(el("p", { class: "message broken", role: "alert" }, said));
});

/** An element; a function among its attributes is a listener, children are nodes or become text. */
function el(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") made.addEventListener(key, value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== undefined && child !== null && child !== false && child !== "") made.append(child);
  }
  return made;
}

/** A link to another view of this page. */
function inside(fragment, ...children) {
  return el("a", { href: fragment }, ...children);
}

/** A link to the web, where the address is one; else its text alone. */
function outside(address, text) {
  if (!/^https:\/\/[^\s"<>]+$/.test(address ?? "")) return text;
  return el("a", { href: address, rel: "noopener noreferrer", target: "_blank" }, text);
}

/** Words for a screen reader alone. */
const hidden = (text) => el("span", { class: "hidden" }, text);

/** Says something to whoever cannot see that it happened. */
function announce(text) {
  document.getElementById("status").textContent = text;
}

/** A text of any length: what is long is shown when it is asked for. */
function bounded(text, most = 400) {
  if (text.length <= most) return text;
  const rest = el("span", null, text.slice(0, most), "… ");
  const more = el("button", {
    type: "button",
    class: "plain",
    click: () => rest.replaceChildren(text.slice(0, 100000)),
  }, `show all ${text.length} characters`);
  rest.append(more);
  return rest;
}

/** A text that can be copied, with the button that does it. */
function copyable(text, what, block = false) {
  const shown = el(block ? "pre" : "code", block ? { tabindex: 0, role: "region", "aria-label": what } : null, text);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      announce(`Copied ${what}`);
      button.firstChild.data = "Copied";
    } catch {
      getSelection().selectAllChildren(shown);
      announce(`Selected ${what}: copy it with your keyboard`);
    }
  };
  const button = el("button", { type: "button", class: "copy", click: copy }, "Copy", hidden(` ${what}`));
  return el(block ? "div" : "span", { class: "copyable" }, shown, button);
}

/** A choice with a label; `options` are [value, text]. */
function choice(label, options, value, change) {
  const select = el("select", { "aria-label": label, change: () => change(select.value) },
    options.map(([key, text]) => el("option", { value: key, selected: key === value }, text)));
  return el("label", { class: "choice" }, el("span", null, label), select);
}

const plural = (count, one, many = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
