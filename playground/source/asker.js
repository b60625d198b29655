// The worker that has Python, and its clock: one that does not answer in time is ended, and another is started.

const SECONDS = 10; // that an answer may take
const START = 120; // that loading may take, over a slow line

export class Asker {
  /** `tell(state, words)` is called as it becomes loading, ready, or failed; an answer may take so many `seconds`. */
  constructor(tell, seconds = SECONDS) {
    Object.assign(this, { tell, seconds });
    this.waiting = new Map(); // by the kind of a question, the newest that was not yet sent
    this.start();
  }

  start() {
    this.tell("loading");
    this.ready = false;
    // As a blob the worker is bound by the policy of this page, whoever serves its files.
    const script = new Blob([`import ${JSON.stringify(new URL("worker.js", import.meta.url).href)};`], { type: "text/javascript" });
    const address = URL.createObjectURL(script);
    this.worker = new Worker(address, { type: "module" });
    this.worker.addEventListener("message", ({ data }) => this.hear(data));
    this.worker.addEventListener("error", (event) => this.fail(event.message || "its script could not be loaded"));
    this.limit(START, () => this.fail("it took too long to load"));
  }

  limit(seconds, late) {
    clearTimeout(this.clock);
    this.clock = setTimeout(late, seconds * 1000);
  }

  fail(why) {
    clearTimeout(this.clock);
    this.worker.terminate();
    this.tell("failed", why);
  }

  /** An answer; of questions of one kind that wait, only the newest gets one. Null where it took too long. */
  ask(kind, given = {}) {
    return new Promise((resolve) => {
      this.waiting.delete(kind); // what comes last is asked last
      this.waiting.set(kind, { kind, given, resolve });
      this.next();
    });
  }

  next() {
    if (!this.ready || this.asked || !this.waiting.size) return;
    const [kind, asked] = this.waiting.entries().next().value;
    this.waiting.delete(kind);
    this.asked = asked;
    this.worker.postMessage({ ask: asked.kind, ...asked.given });
    this.limit(this.seconds, () => {
      this.worker.terminate();
      this.asked = null;
      asked.resolve(null);
      this.start();
    });
  }

  hear({ ready, failed, answer }) {
    if (failed) return this.fail(failed);
    clearTimeout(this.clock);
    if (ready) {
      this.ready = true;
      this.tell("ready");
    } else {
      const { resolve } = this.asked;
      this.asked = null;
      resolve(answer);
    }
    this.next();
  }
}
