// Which view is shown, and what holds for all of them.

const VIEWS = {
  front: frontView,
  cases: (_id, params) => casesView(params),
  case: caseView,
  claims: claimsView,
  servers: serversView,
  systems: systemsView,
  file: fileView,
};

function show(first = false) {
  const { view, id, params } = here();
  const { title, view: element, shown } = (VIEWS[view] ?? (() => missingView("view", view, "cases")))(id, params);
  const main = document.getElementById("main");
  main.replaceChildren(element);
  main.className = Object.hasOwn(VIEWS, view) ? view : "";
  document.body.classList.toggle("embedded", params.embed === "1");
  document.title = title ? `${title} · ${show.home}` : show.home;
  for (const link of document.querySelectorAll("nav a")) {
    const current = link.hash === fragment(view === "case" ? "cases" : view);
    if (current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (shown() || first) return; // it has put the reader somewhere
  scrollTo(0, 0);
  main.querySelector("h1")?.focus({ preventScroll: true });
}
show.home = document.title;

addEventListener("hashchange", () => here().view !== undefined && (location.hash === "" || location.hash.startsWith("#/")) && show());
addEventListener("beforeprint", () => Grid.latest?.element.isConnected && Grid.latest.print());
addEventListener("afterprint", () => Grid.latest?.element.isConnected && Grid.latest.measure(true));
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  document.getElementById("main").focus();
});
takeDrops();
show(true);
document.documentElement.dataset.ready = "";
