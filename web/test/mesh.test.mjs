import assert from "node:assert/strict";
import { test } from "node:test";
import { decode } from "../doh3d.js";
import { EDGES, TRIANGLES } from "../src/marching.js";
import { latticeOver } from "../src/nodes.js";
import { closedValue } from "../src/surface.js";
import { parseHeader } from "../src/header.js";
import { DEFAULT_LIMITS } from "../src/limits.js";
import { Transform } from "../src/transform.js";
import { SHAPES, golden, openSides, volume } from "./files.mjs";

/** How many edges of the lattice the surface crosses, by evaluating every node. */
function crossedEdges(name, resolution) {
  const header = parseHeader(golden(name), DEFAULT_LIMITS);
  const { origin, spacing, cells } = latticeOver(header.halfSides, resolution);
  const transform = new Transform(header);
  const [nx, ny, nz] = cells.map((count) => count + 1);
  const points = new Float64Array(3 * nx * ny * nz);
  for (let node = 0; node < nx * ny * nz; node++) {
    const index = [Math.floor(node / (ny * nz)), Math.floor(node / nz) % ny, node % nz];
    const at = index.map((i, axis) => Math.fround(origin[axis] + spacing * i));
    points.set(transform.toWorld(at), 3 * node);
  }
  const logits = decode(golden(name)).logits(points);
  const isInside = new Uint8Array(logits.length);
  logits.forEach((logit, node) => {
    const index = [Math.floor(node / (ny * nz)), Math.floor(node / nz) % ny, node % nz];
    const isAtBox = index.some((i, axis) => i === 0 || i === cells[axis]);
    isInside[node] = Number(closedValue(logit, isAtBox) > 0);
  });
  let crossed = 0;
  for (let node = 0; node < isInside.length; node++) {
    const index = [Math.floor(node / (ny * nz)), Math.floor(node / nz) % ny, node % nz];
    [ny * nz, nz, 1].forEach((step, axis) => {
      if (index[axis] < cells[axis]) crossed += isInside[node] ^ isInside[node + step];
    });
  }
  return crossed;
}

// With another transform points far off lose bits on their way through the shape's own units.
const NEAR = SHAPES.filter((name) => !["dense", "hadamard", "extras"].includes(name));

for (const name of SHAPES) {
  for (const wasm of [true, false]) {
    test(`${name}: closed and oriented, ${wasm ? "with WebAssembly" : "in JavaScript"}`, () => {
      const mesh = decode(golden(name), { wasm }).toMesh(21);
      assert.equal(openSides(mesh), 0);
      assert.ok(mesh.indices.length === 0 || volume(mesh) > 0);
      assert.ok(mesh.positions.every(Number.isFinite));
    });
  }
}

for (const name of NEAR) {
  test(`${name}: a vertex on each edge that evaluating every node would cross`, () => {
    const { positions } = decode(golden(name)).toMesh(21);
    assert.equal(positions.length / 3, crossedEdges(name, 21));
  });
}

test("each side within a cell has two triangles, and none lies on a face with another", () => {
  assert.equal(EDGES.length, 12);
  for (let inside = 0; inside < 256; inside++) {
    const triangles = TRIANGLES[inside];
    const crossed = EDGES.map(([corner, axis]) => {
      return ((inside >> corner) ^ (inside >> (corner + (1 << axis)))) & 1;
    });
    assert.deepEqual(
      new Set(triangles).size,
      crossed.reduce((sum, one) => sum + one, 0),
    );
    assert.ok(triangles.every((edge) => crossed[edge]));
  }
});

test("values at nodes are finite and not near 0", () => {
  assert.equal(closedValue(NaN, false), -1);
  assert.equal(closedValue(Infinity, false), 1e30);
  assert.equal(closedValue(Infinity, true), -1e30);
  assert.equal(closedValue(1e-9, false), -1e-6);
  assert.equal(closedValue(0.5, true), -0.5);
});
