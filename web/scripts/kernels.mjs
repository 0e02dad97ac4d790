// Assembles src/kernels.wat into src/kernels.data.js: node scripts/kernels.mjs

import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import makeWabt from "wabt";

const place = (name) => fileURLToPath(new URL(`../src/${name}`, import.meta.url));

/** The text of src/kernels.data.js. */
export async function kernelsModule() {
  const wabt = await makeWabt();
  const text = await readFile(place("kernels.wat"), "utf8");
  const { buffer } = wabt.parseWat("kernels.wat", text, { simd: true }).toBinary({});
  const base64 = Buffer.from(buffer).toString("base64");
  return `// Made of kernels.wat by scripts/kernels.mjs.\nexport const KERNELS =\n  "${base64}";\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await writeFile(place("kernels.data.js"), await kernelsModule());
}
