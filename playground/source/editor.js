// The text, with the numbers of its lines; a mark stands beside the line that does not parse, and where systems part.

const MARKS = { wrong: "!", differ: "≠" };

export class Editor {
  /** `changed()` is called when the reader has changed the text. */
  constructor(root, changed) {
    this.area = root.querySelector("textarea");
    this.numbers = root.querySelector(".numbers");
    this.marks = {};
    this.area.addEventListener("input", () => {
      this.measure();
      changed();
    });
    this.area.addEventListener("scroll", () => (this.numbers.scrollTop = this.area.scrollTop));
  }

  get text() {
    return this.area.value;
  }

  set text(text) {
    this.area.value = text;
    this.area.setSelectionRange(0, 0);
    this.measure();
  }

  get lines() {
    return this.text.split("\n");
  }

  measure() {
    const count = this.lines.length;
    this.area.rows = Math.max(10, Math.min(32, count + 1));
    this.number(count);
  }

  /** Draws the numbers; those of a long text are only as many as may be asked about. */
  number(count) {
    const lines = [];
    for (let line = 1; line <= Math.min(count, 5000); line++) {
      const mark = Object.keys(MARKS).find((kind) => this.marks[kind] === line);
      lines.push(`${mark ? MARKS[mark] : ""} ${line}`);
    }
    this.numbers.textContent = lines.join("\n");
    this.numbers.scrollTop = this.area.scrollTop;
  }

  /** Marks the line that is `wrong`, and the one in which systems `differ`; 0 stands for none. */
  mark(marks) {
    this.marks = marks;
    if (marks.wrong) this.area.setAttribute("aria-invalid", "true");
    else this.area.removeAttribute("aria-invalid");
    this.number(this.lines.length);
  }

  /** How wide a letter is, in pixels. */
  letter() {
    const context = document.createElement("canvas").getContext("2d");
    const { fontSize, fontFamily } = getComputedStyle(this.area);
    context.font = `${fontSize} ${fontFamily}`;
    return context.measureText("x".repeat(100)).width / 100;
  }

  /** Puts the caret at a line and column, which count characters from 1. */
  go(line, column) {
    const lines = this.lines;
    const before = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
    const at = before + [...(lines[line - 1] ?? "")].slice(0, column - 1).join("").length;
    this.area.focus();
    this.area.setSelectionRange(at, at);
  }
}
