// Files that tests read, and what they ask of meshes.

import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { crc32 } from "../src/bytes.js";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const GOLDEN = `${ROOT}/tests/golden`;

const hexFiles = (folder) =>
  readdirSync(folder)
    .filter((name) => name.endsWith(".hex"))
    .map((name) => name.slice(0, -4));

export const SHAPES = hexFiles(GOLDEN);
export const IMAGES = hexFiles(`${GOLDEN}/images`);
export const DIGESTS = JSON.parse(readFileSync(`${GOLDEN}/digests.json`, "utf8"));
export const EXPECTED = JSON.parse(readFileSync(`${ROOT}/web/test/expected.json`, "utf8"));

/** The bytes of a golden file. */
export function golden(name) {
  const folder = IMAGES.includes(name) ? `${GOLDEN}/images` : GOLDEN;
  const hex = readFileSync(`${folder}/${name}.hex`, "utf8").replace(/\s/g, "");
  return new Uint8Array(Buffer.from(hex, "hex"));
}

/** The same bytes with a right checksum. */
export function checked(bytes) {
  const found = bytes.slice();
  new DataView(found.buffer).setUint32(found.length - 4, crc32(found.subarray(0, -4)), true);
  return found;
}

/** How many sides of triangles have no other triangle at them, turned the other way. */
export function openSides({ indices }) {
  const sides = new Map();
  for (let i = 0; i < indices.length; i++) {
    const next = i % 3 === 2 ? i - 2 : i + 1;
    const side = indices[i] * 2 ** 26 + indices[next];
    sides.set(side, (sides.get(side) ?? 0) + 1);
  }
  let open = 0;
  for (const [side, count] of sides) {
    const [from, to] = [Math.floor(side / 2 ** 26), side % 2 ** 26];
    if (count !== 1 || sides.get(to * 2 ** 26 + from) !== 1) open++;
  }
  return open;
}

/** The volume that a mesh encloses; positive where its faces are counterclockwise from outside. */
export function volume({ positions, indices }) {
  const corner = (i) => positions.subarray(3 * indices[i], 3 * indices[i] + 3);
  let total = 0;
  for (let i = 0; i < indices.length; i += 3) {
    const [a, b, c] = [corner(i), corner(i + 1), corner(i + 2)];
    total += a[0] * (b[1] * c[2] - b[2] * c[1]);
    total += a[1] * (b[2] * c[0] - b[0] * c[2]);
    total += a[2] * (b[0] * c[1] - b[1] * c[0]);
  }
  return total / 6;
}
