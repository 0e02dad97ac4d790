// Builds what is shipped out of src/: node scripts/build.mjs. With --check it writes nothing and
// says what is not as it would be built.

import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { kernelsModule } from "./kernels.mjs";

const path = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url));
const TEMPLATES = "../doh3d/view/templates";

const SHARED = {
  bundle: true,
  minify: true,
  target: "es2022",
  write: false,
  legalComments: "none",
};

/** Modules of the package. */
const MODULES = {
  "doh3d.js": "src/index.js",
  "export.js": "src/export.js",
  "three.js": "src/three.js",
  "viewer.js": "src/viewer/index.js",
  "worker.js": "src/worker/index.js",
};

/** Other modules of the package import the decoder, and do not hold it once more. */
const decoderBeside = {
  name: "decoder",
  setup({ onResolve }) {
    onResolve({ filter: /^\.\.?\/index\.js$/ }, ({ kind }) =>
      kind === "entry-point" ? null : { path: "./doh3d.js", external: true },
    );
  },
};

async function bundled(entry, format, plugins = []) {
  const options = { ...SHARED, entryPoints: [path(entry)], format, plugins, external: ["three"] };
  const { outputFiles } = await build(options);
  return outputFiles[0].text;
}

/** Everything that is built of what lies in src/, by its place beside this folder. */
async function built() {
  const files = new Map();
  for (const [name, entry] of Object.entries(MODULES)) {
    files.set(name, await bundled(entry, "esm", [decoderBeside]));
  }
  const script = (await bundled("src/page/index.js", "iife")).trim();
  if (script.includes("</script")) throw new Error("the script would end within a page");
  files.set(`${TEMPLATES}/page.js`, `${script}\n`);
  const template = await readFile(path(`${TEMPLATES}/page.html`), "utf8");
  files.set("index.html", filled(template, script));
  return files;
}

/** The page to drop a file on: one without files. */
function filled(template, script) {
  const parts = {
    title: "doh3d: open a .doh file",
    up: "y",
    azimuth: "20",
    elevation: "15",
    resolution: "128",
    files: "[]",
    script,
  };
  return template.replace(
    /@(title|up|azimuth|elevation|resolution|files|script)@/g,
    (_, name) => parts[name],
  );
}

const isCheck = process.argv.includes("--check");
const stale = [];

async function settle(name, text) {
  const found = await readFile(path(name), "utf8").catch(() => "");
  if (found === text) return;
  stale.push(name);
  if (!isCheck) await writeFile(path(name), text);
}

// First, since the modules hold it.
await settle("src/kernels.data.js", await kernelsModule());
for (const [name, text] of await built()) await settle(name, text);
if (isCheck && stale.length) {
  console.error(`not as they are built (npm run build): ${stale.join(", ")}`);
  process.exitCode = 1;
} else if (stale.length) {
  console.log(`built ${stale.join(", ")}`);
}
