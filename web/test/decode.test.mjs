import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { DohFormatError, decode, decodeImage, kindOf } from "../doh3d.js";
import { decodeValues } from "../src/entropy.js";
import { parseHeader } from "../src/header.js";
import { DEFAULT_LIMITS } from "../src/limits.js";
import { philoxWords } from "../src/philox.js";
import { makeWeights } from "../src/weights.js";
import { DIGESTS, EXPECTED, IMAGES, SHAPES, checked, golden } from "./files.mjs";

test("Philox has the published words", () => {
  // Of the counter and the key 0: Random123's known answers.
  const words = philoxWords(new Uint32Array(4), 0, 0, 0);
  assert.deepEqual([...words], [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
});

test("every golden file is there", () => {
  assert.deepEqual([...SHAPES, ...IMAGES].sort(), Object.keys(DIGESTS).sort());
  assert.deepEqual(Object.keys(EXPECTED).sort(), Object.keys(DIGESTS).sort());
});

for (const name of [...SHAPES, ...IMAGES]) {
  test(`${name}: weights to the bit`, () => {
    const bytes = golden(name);
    const header = parseHeader(bytes, DEFAULT_LIMITS);
    const values = decodeValues(header, bytes.subarray(header.end, -4));
    const { matrices, biases } = makeWeights(header, values);
    const hash = createHash("sha256");
    for (const array of [...matrices, ...biases]) hash.update(array);
    assert.equal(hash.digest("hex"), DIGESTS[name]);
  });
}

for (const wasm of [true, false]) {
  const how = wasm ? "with WebAssembly" : "in JavaScript";
  for (const name of SHAPES) {
    test(`${name}: logits ${how}`, () => {
      const { points, logits, bounds } = EXPECTED[name];
      const field = decode(golden(name), { wasm });
      assert.equal(field.bytes, golden(name).length);
      field.bounds.flat().forEach((at, i) => {
        assert.ok(Math.abs(at - bounds.flat()[i]) <= 1e-12 * Math.abs(at));
      });
      const found = field.logits(Float64Array.from(points));
      found.forEach((logit, i) => {
        const expected = logits[i] ?? -Infinity;
        const isNear = Math.abs(logit - expected) <= 1e-4 * (1 + Math.abs(expected));
        assert.ok(logit === expected || isNear, `point ${i}: ${logit}, not ${expected}`);
      });
      const occupancy = field.occupancy(points);
      assert.deepEqual(
        [...occupancy],
        [...found].map((logit) => Number(logit > 0)),
      );
    });
  }
  for (const name of IMAGES) {
    test(`${name}: pixels ${how}`, () => {
      const { pixels, shape } = EXPECTED[name];
      const [high, wide, channels] = shape;
      const image = decodeImage(golden(name), { wasm });
      assert.deepEqual([image.height, image.width], [high, wide]);
      for (let i = 0; i < wide * high; i++) {
        for (let channel = 0; channel < 3; channel++) {
          const expected = pixels[i * channels + (channels === 3 ? channel : 0)];
          assert.ok(Math.abs(image.data[4 * i + channel] - expected) <= 1);
        }
        assert.equal(image.data[4 * i + 3], 255);
      }
    });
  }
}

test("a shape is no image, nor the other way round", () => {
  assert.equal(kindOf(golden("standard")), "shape");
  assert.equal(kindOf(golden("image")), "image");
  assert.throws(() => decodeImage(golden("standard")), /holds a shape, not an image/);
  assert.throws(() => decode(golden("image")), /holds an image, not a shape/);
});

test("points that are not three numbers each, and resolutions out of range, are refused", () => {
  const field = decode(golden("standard"));
  assert.throws(() => field.logits([1, 2]), /three for each point/);
  for (const resolution of [7, 1025, 10.5, NaN]) {
    assert.throws(() => field.toMesh(resolution), RangeError);
  }
  assert.throws(() => decode("D0"), TypeError);
});

test("versions are told by their number", () => {
  for (const [version, pattern] of [
    [0, /draft 0/],
    [2, /version 2 .* reads version 1/],
    [128, /draft 128/],
  ]) {
    const bytes = golden("standard");
    bytes[3] = version;
    assert.throws(() => decode(bytes), pattern);
  }
});

test("limits are the caller's", () => {
  const { n } = parseHeader(golden("standard"), DEFAULT_LIMITS);
  assert.throws(() => decode(golden("standard"), { limits: { latents: n - 1 } }), DohFormatError);
  assert.throws(() => decode(golden("standard"), { limits: { fileBytes: 10 } }), /limit is 10/);
  assert.throws(() => decode(golden("standard"), { limits: { weights: 1 } }), /weights/);
  assert.throws(() => decodeImage(golden("image"), { limits: { pixels: 1 } }), /pixels/);
  assert.throws(
    () => decodeImage(golden("image"), { limits: { imageWork: 1 } }),
    /multiplications/,
  );
  const work = { limits: { extractionWork: -(2 ** 30) } };
  assert.throws(() => decode(golden("standard"), work).toMesh(16), /takes more than/);
  assert.throws(
    () => decode(golden("standard"), { limits: { surfaceCells: 0 } }).toMesh(16),
    /crosses/,
  );
});

test("every truncation and every flipped byte is refused", () => {
  const bytes = golden("cells");
  for (let length = 0; length < bytes.length; length++) {
    assert.throws(() => decode(bytes.subarray(0, length)), DohFormatError);
  }
  for (let at = 0; at < bytes.length; at++) {
    const other = bytes.slice();
    other[at] ^= 0x55;
    assert.throws(() => decode(other), DohFormatError);
  }
});

test("a file that lies in the middle of other bytes is read", () => {
  const bytes = golden("framed");
  const larger = new Uint8Array(bytes.length + 20);
  larger.set(bytes, 7);
  const field = decode(larger.subarray(7, 7 + bytes.length));
  assert.deepEqual(field.bounds, decode(bytes).bounds);
});

test("optional fields of unknown types are passed over, and those out of order refused", () => {
  const bytes = golden("extras");
  // The first field is the lattice, of type 1 and five bytes.
  const first = Buffer.from(bytes).indexOf(Buffer.from([1, 5]));
  const last = [...bytes].findIndex((byte, i) => byte === 0xc8 && bytes[i + 1] === 1);
  const changed = (at, byte) => {
    const other = bytes.slice();
    other[at] = byte;
    return checked(other);
  };
  assert.deepEqual(decode(changed(last, 0xc9)).bounds, decode(bytes).bounds);
  assert.throws(() => decode(changed(first, 5)), /optional field 2 follows 5/);
  assert.throws(() => decode(changed(first + 1, 200)), DohFormatError);
});
