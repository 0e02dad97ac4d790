/** The decoder of `.doh` files: docs/format.md is what it is written from. */

import { decodeValues } from "./entropy.js";
import { DohFormatError, require } from "./errors.js";
import { Field } from "./field.js";
import { parseHeader } from "./header.js";
import { checkPixels, decodePixels } from "./image.js";
import { DEFAULT_LIMITS } from "./limits.js";
import { makeWeights } from "./weights.js";

export { DEFAULT_LIMITS, DohFormatError, Field };

/**
 * How to decode.
 *
 * @typedef {object} DecodeOptions
 * @property {Partial<import("./limits.js").Limits>} [limits] What differs from DEFAULT_LIMITS.
 * @property {boolean} [wasm] Whether WebAssembly may be used; true by default.
 */

/**
 * Decode a shape.
 *
 * @param {Uint8Array} bytes The file.
 * @param {DecodeOptions} [options]
 * @returns {Field}
 * @throws {DohFormatError} If it is no valid file of a shape, or beyond the limits.
 */
export function decode(bytes, options) {
  const { header, weights, settings } = read(bytes, "occupancy", options);
  return new Field(header, weights, bytes.length, settings);
}

/**
 * Decode an image.
 *
 * @param {Uint8Array} bytes The file.
 * @param {DecodeOptions} [options]
 * @returns {import("./image.js").DecodedImage}
 * @throws {DohFormatError} If it is no valid file of an image, or beyond the limits.
 */
export function decodeImage(bytes, options) {
  const { header, weights, settings } = read(bytes, "image", options);
  checkPixels(header, settings.limits);
  return decodePixels(header, weights, settings.wasm);
}

/**
 * What a file holds.
 *
 * @param {Uint8Array} bytes
 * @returns {"shape" | "image"}
 * @throws {DohFormatError} If its header is not valid, or beyond the limits.
 */
export function kindOf(bytes) {
  return parseHeader(bytes, DEFAULT_LIMITS).kind === "image" ? "image" : "shape";
}

/**
 * @param {Uint8Array} bytes
 * @param {"occupancy" | "image"} kind
 * @param {DecodeOptions} [options]
 */
function read(bytes, kind, { limits = {}, wasm = true } = {}) {
  if (!(bytes instanceof Uint8Array)) throw new TypeError("bytes must be a Uint8Array");
  const settings = { limits: { ...DEFAULT_LIMITS, ...limits }, wasm };
  const header = parseHeader(bytes, settings.limits);
  const names = { occupancy: "a shape", image: "an image" };
  require(header.kind === kind, `the file holds ${names[header.kind]}, not ${names[kind]}`);
  const weights = makeWeights(header, decodeValues(header, bytes.subarray(header.end, -4)));
  return { header, weights, settings };
}
