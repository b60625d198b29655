// The playground: what is typed is asked of the models, and what they say is drawn.

import { Asker } from "./asker.js";
import { announce, choice, copyable, el, plural } from "./dom.js";
import { Editor } from "./editor.js";
import { fragmentOf, textOf } from "./link.js";
import { Offers } from "./offers.js";
import { answerTable, reasons, telling } from "./results.js";

const FIRST = `# Everybody knows that SO_REUSEADDR lets a server restart. Does it?
old = tcp4()
old.bind(127.0.0.1:P)
old.listen()
client = tcp4()
client.connect(127.0.0.1:P)
child = old.accept()
child.close()
client.eof()
client.close()
old.close()
new = tcp4(SO_REUSEADDR)
new.bind(127.0.0.1:P)
new.listen()
`;

const part = (id) => document.getElementById(id);
const shown = { answer: null, source: [], chosen: "", examples: [] }; // chosen: the label of the line that the reader wants explained
let later = 0;

const asker = new Asker((state, words) => {
  document.documentElement.dataset.python = state;
  if (state === "loading" && shown.answer) say(el("p", null, "The models took longer than 10 s and were ended; they start again."));
  if (state === "failed") say(el("p", { class: "wrong" }, `Python could not be loaded: ${words}`));
});
const editor = new Editor(part("editor"), changed);
new Offers(editor, part("list"), (text, line, column) => asker.ask("complete", { text, line, column }), changed);

function say(...nodes) {
  part("message").replaceChildren(...nodes);
}

/** Asks for what stands there now. */
async function ask() {
  const { text, lines } = editor;
  const answer = await asker.ask("answer", { text });
  if (!answer) return say(el("p", { class: "wrong" }, "The models did not come to an end with this in 10 s, and start again. A shorter scenario may have an answer."));
  if (text !== editor.text) return; // the next answer is on its way
  Object.assign(shown, { answer, source: lines });
  draw();
  Object.assign(document.documentElement.dataset, { ready: "", answered: text.length });
}

function draw() {
  const { answer, source } = shown;
  const { error, refused } = answer;
  editor.mark({ wrong: error?.line ?? 0, differ: answer.lines?.[answer.differ]?.line ?? 0 });
  say(...[error && complaint(error), refused && el("p", { class: "wrong" }, refused)].filter(Boolean));
  if (refused) return;
  const wanted = answer.lines.findIndex((line) => line.labels.includes(shown.chosen));
  const chosen = wanted >= 0 ? wanted : telling(answer);
  const focused = part("answer").contains(document.activeElement) && document.activeElement.dataset.line;
  part("answer").replaceChildren(answerTable(answer, source, chosen, choose));
  part("why").replaceChildren(...reasons(answer, source, chosen));
  if (focused) part("answer").querySelector(`[data-line="${focused}"]`)?.focus();
}

function complaint({ line, column, expected }) {
  return el("p", { class: "wrong" },
    el("button", { type: "button", class: "plain", click: () => editor.go(line, column) }, `Line ${line}, column ${column}`), `: ${expected}.`);
}

function choose(at) {
  shown.chosen = shown.answer.lines[at].labels[0];
  draw();
  announce(`Why ${shown.chosen}: below the table`);
}

function changed() {
  ask();
  clearTimeout(later);
  later = setTimeout(() => {
    history.replaceState(null, "", fragmentOf(editor.text));
    summarise();
  }, 700);
}

/** Says in a sentence what the table shows, to whoever does not see it. */
function summarise() {
  const { answer } = shown;
  if (answer?.error || answer?.refused) return announce(part("message").textContent);
  if (!answer) return;
  const line = answer.lines[answer.differ];
  announce(line
    ? `${plural(answer.groups.length, "group")} of systems. They differ first in ${line.labels[0]}: ${line.says.join(", ")}`
    : "All systems do the same");
}

/** The scenario, or the same calls as Python. */
async function view(name) {
  for (const button of part("views").children) button.setAttribute("aria-pressed", String(button.dataset.view === name));
  part("editor").hidden = part("keys").hidden = name === "python";
  part("python").hidden = name !== "python";
  part("python").replaceChildren(); // what was shown last may be of another scenario
  if (name !== "python") return;
  const { text } = editor;
  const found = await asker.ask("python", { text });
  if (text !== editor.text) return;
  part("python").replaceChildren(found?.python
    ? copyable(found.python, "the program", true)
    : found?.error ? complaint(found.error) : el("p", { class: "wrong" }, "The program took too long to write."));
}

/** The examples that one can begin with; each is a step in the history, from which one comes back. */
async function bar() {
  const response = await fetch(new URL("examples.json", import.meta.url));
  const groups = response.ok ? await response.json() : [];
  const all = (shown.examples = groups.flatMap(({ examples }) => examples));
  const pick = choice("Begin with", [["", "an example …"]], "", (at) => all[at] && (location.hash = fragmentOf(all[at].text)));
  let number = 0;
  pick.querySelector("select").append(...groups.map(({ title, examples }) =>
    el("optgroup", { label: title }, examples.map((one) => el("option", { value: number++ }, one.title)))));
  const link = el("button", { type: "button", click: copyLink }, "Copy a link to this scenario");
  part("bar").replaceChildren(pick, link);
  tellAbout();
}

/** What an example is about, if it is one that stands there. */
function tellAbout() {
  part("about").textContent = shown.examples.find(({ text }) => text === editor.text)?.about ?? "";
}

async function copyLink() {
  history.replaceState(null, "", fragmentOf(editor.text));
  try {
    await navigator.clipboard.writeText(location.href);
    announce("Copied the link");
  } catch {
    announce("The link is the address of this page");
  }
}

function open() {
  editor.text = textOf(location.hash) ?? FIRST;
  shown.chosen = "";
  tellAbout();
  view("scenario");
  ask();
}

part("views").append(...[["scenario", "Scenario"], ["python", "Python"]].map(([name, title]) =>
  el("button", { type: "button", "data-view": name, click: () => view(name) }, title)));
addEventListener("hashchange", () => textOf(location.hash) !== null && open());
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  part("main").focus();
});
open();
bar();
