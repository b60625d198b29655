// The words that are offered while one types: a list below the caret. The keys that take a word mean so only while it is shown.

import { el, hidden } from "./dom.js";

const SHOWN = 9; // words at once
const INVITES = /[\w.([:]$|[=,] ?$|\bas $/; // what one has typed before words are offered unasked

export class Offers {
  /** `wanted(line, column)` gives a completion, later; `changed()` is called when a word was taken. */
  constructor(editor, list, wanted, changed) {
    Object.assign(this, { editor, area: editor.area, list, wanted, changed, at: -1 });
    this.area.addEventListener("input", (event) => this.offer(!event.inputType?.startsWith("insert")));
    this.area.addEventListener("keydown", (event) => this.key(event));
    for (const kind of ["blur", "click", "scroll"]) this.area.addEventListener(kind, () => this.close());
    addEventListener("resize", () => this.close());
    list.addEventListener("mousedown", (event) => event.preventDefault()); // the text keeps the focus
    list.addEventListener("click", (event) => this.take(this.first + [...list.children].indexOf(event.target.closest("li"))));
  }

  get open() {
    return !this.list.hidden;
  }

  /** Where the caret is: its line and column, from 1, and what stands before it on its line. */
  place() {
    const above = this.area.value.slice(0, this.area.selectionStart).split("\n");
    const before = above.at(-1);
    return { line: above.length, column: [...before].length + 1, before };
  }

  async offer(deleted, asked = false) {
    const { line, column, before } = this.place();
    if (!asked && (deleted ? !this.open : !INVITES.test(before))) return this.close();
    this.narrow();
    const text = this.area.value;
    const found = await this.wanted(text, line, column);
    const now = this.place();
    if (!found || this.area.value !== text || now.line !== line || now.column !== column) return;
    const [start, offers] = found;
    if (!offers.length || document.activeElement !== this.area) return this.close();
    this.start = [...before].slice(0, start - 1).join("").length - before.length + this.area.selectionStart;
    this.offers = offers;
    this.list.hidden = false;
    this.choose(0);
    this.put(line, this.start - (this.area.selectionStart - before.length));
  }

  /** Until the answer is there, what is shown goes on with what stands there now: one of it may be taken. */
  narrow() {
    if (!this.open) return;
    const typed = this.area.value.slice(this.start, this.area.selectionStart).toLowerCase();
    this.offers = this.offers.filter(([word]) => word.toLowerCase().startsWith(typed));
    if (this.offers.length) this.choose(0);
    else this.close();
  }

  /** Puts the list below the word that is being written. */
  put(line, column) {
    const style = getComputedStyle(this.area);
    const high = parseFloat(style.lineHeight);
    const letter = this.editor.letter();
    const left = this.area.offsetLeft + parseFloat(style.paddingLeft) + column * letter - this.area.scrollLeft;
    this.list.style.top = `${parseFloat(style.paddingTop) + line * high - this.area.scrollTop + 2}px`;
    this.list.style.left = `${Math.max(0, Math.min(left, this.area.parentNode.clientWidth - this.list.offsetWidth))}px`;
  }

  /** Chooses one, counted from 0, and shows it with some of its neighbours. */
  choose(at) {
    const many = this.offers.length;
    this.at = (at + many) % many;
    this.first = Math.max(0, Math.min(this.at - SHOWN + 2, many - SHOWN));
    this.list.replaceChildren(...this.offers.slice(this.first, this.first + SHOWN).map(([word, about], index) =>
      el("li", {
        role: "option", id: `offer-${index}`, "aria-selected": String(this.first + index === this.at),
        "aria-setsize": many, "aria-posinset": this.first + index + 1,
      }, el("code", null, word), about && el("span", null, hidden(", "), about))));
    this.area.setAttribute("aria-activedescendant", `offer-${this.at - this.first}`);
  }

  take(at) {
    const [word] = this.offers[at];
    this.close();
    const end = this.area.selectionStart;
    const rest = this.area.value.slice(end);
    const typed = word.endsWith(")") && rest.startsWith(")") ? word.slice(0, -1) : word;
    this.area.setSelectionRange(this.start, end);
    if (!document.execCommand("insertText", false, typed)) { // which the reader can undo
      this.area.setRangeText(typed, this.start, end, "end");
      this.changed();
    }
  }

  close() {
    this.list.hidden = true;
    this.area.removeAttribute("aria-activedescendant");
  }

  key(event) {
    if (event.ctrlKey && event.key === " ") {
      event.preventDefault();
      this.offer(false, true);
      return;
    }
    if (!this.open || event.ctrlKey || event.altKey || event.metaKey) return;
    const does = {
      ArrowDown: () => this.choose(this.at + 1),
      ArrowUp: () => this.choose(this.at - 1),
      Enter: () => this.take(this.at),
      Tab: () => this.take(this.at),
      Escape: () => this.close(),
    }[event.key];
    if (does && !event.shiftKey) {
      event.preventDefault();
      does();
    } else if (/^(Arrow|Home|End|Page)/.test(event.key)) this.close();
  }
}
