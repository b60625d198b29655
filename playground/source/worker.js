// Python and the models. A question comes in and its answer goes out, one after another; whoever asks keeps the time.

import { loadPyodide } from "./pyodide/pyodide.mjs";

const place = new URL("./", import.meta.url).href;

async function bytes(name) {
  const response = await fetch(place + name);
  if (!response.ok) throw new Error(`${name}: ${response.status} ${response.statusText}`);
  return response.arrayBuffer();
}

async function start() {
  const files = Promise.all(["package.zip", "bridge.py"].map(bytes));
  const pyodide = await loadPyodide({ indexURL: `${place}pyodide/` });
  const [packed, bridge] = await files;
  pyodide.unpackArchive(packed, "zip");
  pyodide.runPython(new TextDecoder().decode(bridge));
  return pyodide.globals.get("answers");
}

const started = start();
started.then(() => postMessage({ ready: true }), (error) => postMessage({ failed: String(error) }));

addEventListener("message", async ({ data: { ask, ...given } }) => {
  const answers = await started;
  try {
    postMessage({ answer: JSON.parse(answers(ask, JSON.stringify(given))) });
  } catch (error) {
    postMessage({ answer: { refused: `The models failed, which is our mistake: ${String(error).trim().split("\n").at(-1)}` } });
  }
});
