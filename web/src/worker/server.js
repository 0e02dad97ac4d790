/** Decodes within a worker, for worker/client.js. */

import { decode, decodeImage } from "../index.js";

/**
 * A call: `id` comes back with the answer.
 *
 * @typedef {object} Call
 * @property {number} id
 * @property {string} name Of a function, or of a method of the field.
 * @property {unknown[]} values
 */

/**
 * @typedef {object} Scope
 * @property {(listener: (event: {data: Call}) => void) => void} listen
 * @property {(message: unknown, transfer: ArrayBuffer[]) => void} send
 */

/**
 * Answer calls.
 *
 * @param {Scope} scope
 */
export function serve({ listen, send }) {
  /** @type {import("../index.js").Field | null} */
  let field = null;
  /** @type {Record<string, (...values: any[]) => any>} */
  const calls = {
    decode(bytes, options) {
      field = decode(bytes, options);
      return { bytes: field.bytes, bounds: field.bounds };
    },
    decodeImage,
    logits: (points) => field?.logits(points),
    occupancy: (points) => field?.occupancy(points),
    toMesh: (resolution) => field?.toMesh(resolution),
  };
  listen(({ data: { id, name, values } }) => {
    try {
      const value = calls[name](...values);
      send({ id, value }, arraysOf(value));
    } catch (error) {
      const { name: kind, message } = /** @type {Error} */ (error);
      send({ id, error: { kind, message } }, []);
    }
  });
}

/**
 * The memory of an answer, which is handed over and not copied.
 *
 * @param {any} value
 * @returns {ArrayBuffer[]}
 */
function arraysOf(value) {
  const parts = ArrayBuffer.isView(value) ? [value] : Object.values(value ?? {});
  return parts.flatMap((part) =>
    ArrayBuffer.isView(part) ? [/** @type {ArrayBuffer} */ (part.buffer)] : [],
  );
}
