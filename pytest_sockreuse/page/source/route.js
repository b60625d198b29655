// Where one is: the fragment of the address, such as #/cases?q=bind&rule=users or #/case/users/low-ports[root]?on=linux.
// Everything in it is a name that a new run keeps: ids of cases, rules and claims, names of platforms.

function here() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [view, ...rest] = path.split("/");
  return { view: view || "front", id: unescaped(rest.join("/")), params: Object.fromEntries(new URLSearchParams(query)) };
}

function unescaped(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The fragment of a view; parameters that are empty are left out. */
function fragment(view, id = "", params = {}) {
  const query = Object.entries(params)
    .filter(([, value]) => value)
    .map(([key, value]) => `${key}=${encodeURIComponent(value).replace(/%(2C|3A|2F|5B|5D)/g, unescaped)}`);
  const path = id ? `/${id.split("/").map((part) => encodeURIComponent(part).replace(/%(5B|5D|2C)/g, unescaped)).join("/")}` : "";
  return `#/${view === "front" ? "" : view}${path}${query.length ? `?${query.join("&")}` : ""}`;
}

const caseLink = (variant, on = "") => fragment("case", idOf(variant), { on });

/** Goes to a view that is a step of its own, back from which one comes here. */
const travel = (to) => (location.hash = to);

/** Says in the address how the view that is shown has changed, without a step of its own. */
function amend(to) {
  if (to !== location.hash) history.replaceState(history.state, "", to);
}
