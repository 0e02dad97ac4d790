/** Decodes in a worker: the same names as the decoder's, which return promises. */

import { DohFormatError } from "../index.js";

/** A worker, and the answers that are still to come. */
export class Client {
  /** @param {Worker} worker */
  constructor(worker) {
    this.worker = worker;
    this.last = 0;
    /** @type {Map<number, {resolve: (value: any) => void, reject: (error: Error) => void}>} */
    this.waiting = new Map();
    worker.onmessage = ({ data: { id, value, error } }) => {
      const call = this.waiting.get(id);
      this.waiting.delete(id);
      if (error) call?.reject(errorOf(error));
      else call?.resolve(value);
    };
    worker.onerror = (event) =>
      this.#fail(new Error(event.message || "the worker cannot be started"));
  }

  /**
   * @param {string} name
   * @param {unknown[]} values
   * @returns {Promise<any>}
   */
  call(name, ...values) {
    return new Promise((resolve, reject) => {
      const id = ++this.last;
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, name, values });
    });
  }

  /** End the worker; what has not been answered fails. */
  close() {
    this.worker.terminate();
    this.#fail(new Error("the worker was closed"));
  }

  /** @param {Error} error */
  #fail(error) {
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }
}

/** @param {{kind: string, message: string}} error */
function errorOf({ kind, message }) {
  if (kind === "DohFormatError") return new DohFormatError(message);
  return kind === "RangeError" ? new RangeError(message) : new Error(message);
}

/** A field that lives in a worker of its own. */
export class WorkerField {
  #client;

  /**
   * @param {Client} client
   * @param {{bytes: number, bounds: [number[], number[]]}} facts
   */
  constructor(client, { bytes, bounds }) {
    this.#client = client;
    this.bytes = bytes;
    this.bounds = bounds;
  }

  /** @param {Float64Array} points @returns {Promise<Float32Array<ArrayBuffer>>} */
  logits(points) {
    return this.#client.call("logits", points);
  }

  /** @param {Float64Array} points @returns {Promise<Uint8Array<ArrayBuffer>>} */
  occupancy(points) {
    return this.#client.call("occupancy", points);
  }

  /** @param {number} [resolution] @returns {Promise<import("../field.js").Mesh>} */
  toMesh(resolution) {
    return this.#client.call("toMesh", resolution);
  }

  /** End the worker. */
  close() {
    this.#client.close();
  }
}
