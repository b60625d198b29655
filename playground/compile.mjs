// Compiles, in the very Python that the browser gets, the modules that the playground imports: node compile.mjs OUT.
// Python would do so at each visit, for three seconds.

import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const out = resolve(process.argv[2]);
const read = (name) => new Uint8Array(readFileSync(`${out}/${name}`));
const { loadPyodide } = await import(pathToFileURL(`${out}/pyodide/pyodide.mjs`));
const pyodide = await loadPyodide({ indexURL: `${out}/pyodide/` });
pyodide.unpackArchive(read("package.zip"), "zip");
pyodide.runPython(readFileSync(`${out}/bridge.py`, "utf8"));
pyodide.runPython(readFileSync(new URL("compile.py", import.meta.url), "utf8"));
for (const name of ["pyodide/python_stdlib.zip", "package.zip"]) {
  const compiled = pyodide.globals.get("compiled")(pyodide.toPy(read(name)));
  writeFileSync(`${out}/${name}`, compiled.toJs());
}
