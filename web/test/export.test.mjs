import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { decode } from "../doh3d.js";
import { toGlb, toPly, toStl } from "../export.js";
import { vertexNormals } from "../src/normals.js";
import { afterKey, axesOf, FIRST_VIEW } from "../src/viewer/camera.js";
import { ROOT, golden } from "./files.mjs";

/** A tetrahedron, counterclockwise from outside. */
const TETRAHEDRON = {
  positions: Float32Array.of(0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1),
  indices: Uint32Array.of(0, 2, 1, 0, 1, 3, 0, 3, 2, 1, 2, 3),
};
const EMPTY = { positions: new Float32Array(0), indices: new Uint32Array(0) };

test("PLY: a header, the corners and the faces", () => {
  const bytes = toPly(TETRAHEDRON);
  const end = Buffer.from(bytes).indexOf("end_header\n") + 11;
  const header = Buffer.from(bytes.subarray(0, end)).toString();
  assert.match(header, /element vertex 4\n/);
  assert.match(header, /element face 4\n/);
  assert.equal(bytes.length, end + 4 * 12 + 4 * 13);
  const view = new DataView(bytes.buffer, end + 48);
  const first = [0, 1, 2].map((i) => view.getInt32(1 + 4 * i, true));
  assert.deepEqual([view.getUint8(0), ...first], [3, 0, 2, 1]);
});

test("STL: a count and fifty bytes a face", () => {
  const bytes = toStl(TETRAHEDRON);
  const view = new DataView(bytes.buffer);
  assert.equal(view.getUint32(80, true), 4);
  assert.equal(bytes.length, 84 + 4 * 50);
  const corners = Array.from({ length: 9 }, (_, i) => view.getFloat32(96 + 4 * i, true));
  assert.deepEqual(corners, [0, 0, 0, 0, 1, 0, 1, 0, 0]);
});

test("GLB: what its chunks say is what they have", () => {
  for (const [mesh, isEmpty] of [
    [TETRAHEDRON, false],
    [EMPTY, true],
  ]) {
    const bytes = toGlb(mesh);
    const view = new DataView(bytes.buffer);
    assert.equal(view.getUint32(0, true), 0x46546c67);
    assert.equal(view.getUint32(8, true), bytes.length);
    const length = view.getUint32(12, true);
    const content = JSON.parse(Buffer.from(bytes.subarray(20, 20 + length)).toString());
    if (isEmpty) continue;
    assert.equal(bytes.length, 20 + length + 8 + 48 + 48);
    assert.deepEqual(content.accessors[0].max, [1, 1, 1]);
    assert.equal(content.bufferViews[1].byteOffset, 48);
  }
});

test("normals point outside, and have length 1", () => {
  const normals = vertexNormals(TETRAHEDRON);
  const third = 1 / Math.sqrt(3);
  assert.ok([...normals.subarray(0, 3)].every((value) => Math.abs(value + third) < 1e-6));
  for (let i = 0; i < 12; i += 3)
    assert.ok(Math.abs(Math.hypot(...normals.subarray(i, i + 3)) - 1) < 1e-6);
});

test("a view's axes are at right angles, and keys turn it", () => {
  for (const up of ["x", "y", "z"]) {
    const [right, top, back] = axesOf({ azimuth: 33, elevation: 40, zoom: 1 }, up);
    const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
    for (const [a, b] of [
      [right, top],
      [top, back],
      [back, right],
    ]) {
      assert.ok(Math.abs(dot(a, b)) < 1e-12);
      assert.ok(Math.abs(dot(a, a) - 1) < 1e-12);
    }
    assert.ok(top["xyz".indexOf(up)] > 0);
  }
  assert.equal(afterKey(FIRST_VIEW, "ArrowLeft").azimuth, FIRST_VIEW.azimuth + 15);
  assert.equal(afterKey({ ...FIRST_VIEW, elevation: 85 }, "ArrowUp").elevation, 90);
  assert.equal(afterKey(FIRST_VIEW, "a"), null);
});

const withoutThree = !existsSync(`${ROOT}/web/node_modules/three`) && "three is not installed";
test("the loader for three.js gives a geometry with normals", { skip: withoutThree }, async () => {
  const { DohLoader } = await import("../three.js");
  const bytes = golden("standard");
  const geometry = new DohLoader().setResolution(24).parse(bytes.slice().buffer);
  const { positions, indices } = decode(bytes).toMesh(24);
  assert.deepEqual(geometry.getAttribute("position").array, positions);
  assert.deepEqual(geometry.getIndex().array, indices);
  assert.equal(geometry.getAttribute("normal").count, positions.length / 3);
  assert.throws(() => new DohLoader().parse(new ArrayBuffer(9)), /not a .doh file/);
});
