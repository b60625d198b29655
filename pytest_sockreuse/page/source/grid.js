// A grid of any length: only the rows and columns that are on the screen are there. It has one tab stop and is moved
// through by arrows.

/** Where the rem of this reader stands, in pixels. */
const rem = () => parseFloat(getComputedStyle(document.documentElement).fontSize);

/**
 * A grid. Rows and columns are objects with a `key`; a row also has the `height` of its cells in rem, and the
 * `text` of its name, which stands above them on a narrow screen; a `bare` one has no cells. `draw` has `corner()`, `head(column)`, `name(row)`, `cell(row, column)`, each an element, and
 * `open(row, column)`, where a row or column of null is the head or the name.
 */
class Grid {
  constructor(label, draw) {
    Grid.latest = this; // of the view that is shown, for paper
    this.draw = draw;
    this.rows = [];
    this.columns = [];
    this.at = { row: 0, column: -1 }; // -1: the head, the names
    this.wish = -1; // the column one came from, while one passes rows without cells
    this.head = el("div", { class: "head", role: "row", "aria-rowindex": 1 });
    this.body = el("div", { class: "body", role: "rowgroup" });
    this.element = el("div", { class: "grid", role: "grid", "aria-label": label, "aria-readonly": "true" },
      el("div", { role: "rowgroup", class: "heads" }, this.head), this.body);
    this.element.addEventListener("scroll", () => this.show(), { passive: true });
    this.element.addEventListener("keydown", (event) => this.key(event));
    this.element.addEventListener("click", (event) => this.click(event));
    this.element.addEventListener("focusin", (event) => this.follow(event.target));
    this.watch = new ResizeObserver(() => this.measure());
    this.watch.observe(this.element);
  }

  /** Shows other rows and columns; whoever stood on one stands on it still, or on one of its `kin`. */
  fill(rows, columns) {
    const focused = this.element.contains(document.activeElement);
    const row = this.rows[this.at.row]?.key;
    const column = this.columns[this.at.column];
    this.rows = rows;
    this.columns = columns;
    if (this.at.row >= 0) this.at.row = Math.max(0, rows.findIndex((one) => one.key === row));
    if (column) this.at.column = columns.findIndex((one) => one.key === column.key || (one.kin && one.kin === column.kin));
    this.wish = this.at.column;
    this.element.setAttribute("aria-rowcount", rows.length + 1);
    this.element.setAttribute("aria-colcount", columns.length + 1);
    this.measure(true);
    if (focused) this.find(this.at)?.focus({ preventScroll: true });
  }

  /** Where one stands and how far one has scrolled; `restore` goes back there. */
  get position() {
    const { scrollTop, scrollLeft } = this.element;
    return { scrollTop, scrollLeft, row: this.rows[this.at.row]?.key, column: this.columns[this.at.column]?.key };
  }

  restore({ scrollTop, scrollLeft, row, column }) {
    this.at = { row: this.rows.findIndex((one) => one.key === row), column: this.columns.findIndex((one) => one.key === column) };
    Object.assign(this.element, { scrollTop, scrollLeft });
    this.show();
    this.find(this.at)?.focus({ preventScroll: true });
  }

  measure(anew = false) {
    const unit = rem();
    const width = this.element.clientWidth;
    const stacked = width < 40 * unit;
    if (!anew && stacked === this.stacked && width === this.width) return;
    this.stacked = stacked;
    this.width = width;
    this.names = stacked ? 0 : Math.min(26, Math.max(15, width / unit / 4)) * unit;
    this.step = Math.max(7.25 * unit, Math.min(14 * unit, (width - this.names) / this.columns.length));
    this.tops = [0];
    for (const row of this.rows) {
      const letters = 2.05 * ((stacked ? width : this.names) / unit - 5);
      row.name = Math.max(row.height, 0.6 + 1.25 * Math.ceil((row.text?.length ?? 0) / letters));
      this.tops.push(this.tops.at(-1) + (row.name + (stacked && !row.bare ? row.height : 0)) * unit);
    }
    this.unit = unit;
    const whole = Math.max(this.names + this.columns.length * this.step, width);
    this.element.classList.toggle("stacked", stacked);
    this.body.style.height = `${this.tops.at(-1)}px`;
    this.body.style.width = this.head.style.width = `${whole}px`;
    this.element.style.setProperty("--names", `${stacked ? width : this.names}px`);
    this.drawn = new Map();
    this.from = this.to = -1;
    this.body.replaceChildren();
    this.show();
  }

  /** Draws what is on the screen and takes away what is not; the row that has the focus stays. */
  show() {
    if (!this.element.isConnected || !this.width) return;
    const { scrollTop: top, scrollLeft: left, clientHeight: high } = this.element;
    const from = Math.max(0, Math.floor(left / this.step));
    const to = Math.min(this.columns.length, Math.ceil((left + this.width - this.names) / this.step) + 1);
    if (from !== this.from || to !== this.to) {
      [this.from, this.to] = [from, to];
      this.heads();
      for (const [index, row] of this.drawn) this.fillRow(row, index);
    }
    const first = Math.max(0, this.rowAt(top) - 3);
    const last = Math.min(this.rows.length, this.rowAt(top + high) + 4);
    const focused = this.body.contains(document.activeElement) ? this.at.row : -1;
    for (const [index, row] of this.drawn) {
      if ((index < first || index >= last) && index !== focused) {
        row.remove();
        this.drawn.delete(index);
      }
    }
    for (let index = first; index < last; index++) {
      if (this.drawn.has(index)) continue;
      const row = this.row(index);
      this.drawn.set(index, row);
      const after = [...this.drawn.keys()].filter((other) => other > index);
      this.body.insertBefore(row, after.length ? this.drawn.get(Math.min(...after)) : null);
    }
    this.stop();
  }

  rowAt(height) {
    let low = 0;
    let high = this.tops.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.tops[middle] <= height) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  heads() {
    const corner = this.place(this.draw.corner(), "columnheader", -1, -1);
    const shown = this.columns.slice(this.from, this.to);
    this.head.replaceChildren(corner, ...shown.map((column, at) => this.place(this.draw.head(column), "columnheader", -1, this.from + at)));
  }

  row(index) {
    const row = el("div", { class: `row ${this.rows[index].kind}`, role: "row", "aria-rowindex": index + 2 });
    row.style.top = `${this.tops[index]}px`;
    row.style.height = `${this.tops[index + 1] - this.tops[index]}px`;
    this.fillRow(row, index);
    return row;
  }

  fillRow(row, index) {
    const one = this.rows[index];
    let name = row.firstChild;
    if (!name) row.append((name = this.place(this.draw.name(one), "rowheader", index, -1)));
    if (this.stacked && !one.bare) name.style.height = `${one.name * this.unit}px`;
    while (name.nextSibling) name.nextSibling.remove();
    if (one.bare) {
      name.setAttribute("aria-colspan", this.columns.length + 1);
      return;
    }
    for (let at = this.from; at < this.to; at++) row.append(this.under(one, this.place(this.draw.cell(one, this.columns[at]), "gridcell", index, at)));
  }

  under(row, cell) {
    if (this.stacked) cell.style.top = `${row.name * this.unit}px`;
    return cell;
  }

  place(cell, role, row, column) {
    cell.setAttribute("role", role);
    cell.setAttribute("aria-colindex", column + 2);
    cell.tabIndex = -1;
    cell.dataset.row = row;
    cell.dataset.column = column;
    cell.classList.add(column < 0 ? "name" : "cell");
    if (column >= 0) {
      cell.style.left = `${this.names + column * this.step}px`;
      cell.style.width = `${this.step}px`;
    }
    return cell;
  }

  find({ row, column }) {
    const line = row < 0 ? this.head : this.drawn.get(row);
    return line && [...line.children].find((cell) => Number(cell.dataset.column) === column);
  }

  /** Makes the cell one stands on the only tab stop; where it is not drawn, the first that is. */
  stop() {
    for (const cell of this.element.querySelectorAll('[tabindex="0"]')) cell.tabIndex = -1;
    const cell = this.find(this.at) ?? this.body.querySelector(".name") ?? this.head.firstChild;
    if (cell) cell.tabIndex = 0;
  }

  follow(target) {
    const cell = target.closest("[data-row]");
    if (!cell) return;
    this.at = { row: Number(cell.dataset.row), column: Number(cell.dataset.column) };
    if (!this.rows[this.at.row]?.bare) this.wish = this.at.column;
    this.stop();
  }

  /** Goes to a cell, scrolls to it, and gives it the focus. */
  go(row, column) {
    this.wish = Math.max(-1, Math.min(this.columns.length - 1, column));
    const to = Math.max(-1, Math.min(this.rows.length - 1, row));
    this.at = { row: to, column: this.rows[to]?.bare ? -1 : this.wish };
    this.reveal();
    this.show();
    this.find(this.at)?.focus({ preventScroll: true });
  }

  reveal() {
    const { row, column } = this.at;
    const view = this.element;
    if (row >= 0) {
      const high = view.clientHeight - this.head.offsetHeight;
      if (this.tops[row] < view.scrollTop) view.scrollTop = this.tops[row];
      else if (this.tops[row + 1] > view.scrollTop + high) view.scrollTop = this.tops[row + 1] - high;
    }
    if (column >= 0) {
      const left = column * this.step;
      const wide = this.width - this.names;
      if (left < view.scrollLeft) view.scrollLeft = left;
      else if (left + this.step > view.scrollLeft + wide) view.scrollLeft = left + this.step - wide;
    }
  }

  key(event) {
    const { row, column } = this.at;
    const page = Math.max(1, this.rowAt(this.element.scrollTop + this.element.clientHeight) - this.rowAt(this.element.scrollTop) - 1);
    const whole = event.ctrlKey || event.metaKey;
    const to = {
      ArrowUp: [row - 1, this.wish], ArrowDown: [row + 1, this.wish], ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1],
      PageUp: [Math.max(0, row - page), this.wish], PageDown: [row + page, this.wish],
      Home: [whole ? 0 : row, -1], End: [whole ? this.rows.length - 1 : row, this.columns.length - 1],
    }[event.key];
    if (to && !event.altKey) {
      event.preventDefault();
      this.go(...to);
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.open(row, column);
    }
  }

  click(event) {
    const cell = event.target.closest("[data-row]");
    if (!cell || event.target.closest("a")) return;
    this.follow(cell);
    cell.focus({ preventScroll: true });
    this.open(this.at.row, this.at.column);
  }

  open(row, column) {
    this.draw.open(this.rows[row] ?? null, this.columns[column] ?? null);
  }

  /** Draws every row, for paper, as far as that is reasonable. */
  print(most = 1500) {
    for (let index = 0; index < Math.min(most, this.rows.length); index++) {
      if (!this.drawn.has(index)) this.drawn.set(index, this.row(index));
    }
    this.body.replaceChildren(...[...this.drawn].sort(([a], [b]) => a - b).map(([, row]) => row));
  }
}
