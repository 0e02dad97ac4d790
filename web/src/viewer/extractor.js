/** Extracts meshes of one file, in a worker where there can be one. */

import { decode } from "../index.js";
import { Client } from "../worker/client.js";

/** The decoder's own errors: a worker that has them works. */
const OWN = ["DohFormatError", "RangeError"];

/** One file's meshes; a request ends those before it. */
export class Extractor {
  /**
   * @param {Uint8Array} bytes
   * @param {(() => Worker) | null} makeWorker
   */
  constructor(bytes, makeWorker) {
    this.bytes = bytes;
    /** @type {(() => Worker) | null} */
    this.makeWorker = makeWorker;
    this.field = decode(bytes);
    /** @type {Client | null} */
    this.client = null;
    this.isBusy = false;
  }

  /**
   * @param {number} resolution
   * @returns {Promise<import("../field.js").Mesh>} Rejected where a later request comes first.
   */
  async mesh(resolution) {
    if (this.isBusy) this.close();
    if (this.makeWorker) {
      try {
        return await this.#inWorker(resolution);
      } catch (error) {
        const { name, message } = /** @type {Error} */ (error);
        if (OWN.includes(name) || message === "the worker was closed") throw error;
        // There is no worker to be had: a page that was opened from a disk, or another's rules.
        this.makeWorker = null;
      }
    }
    // After the page has been drawn with what it says of this.
    await new Promise((resolve) => setTimeout(resolve, 30));
    return this.field.toMesh(resolution);
  }

  /** @param {number} resolution */
  async #inWorker(resolution) {
    if (!this.client) {
      this.client = new Client(/** @type {() => Worker} */ (this.makeWorker)());
      await this.client.call("decode", this.bytes);
    }
    this.isBusy = true;
    const { client } = this;
    try {
      return await client.call("toMesh", resolution);
    } finally {
      if (this.client === client) this.isBusy = false;
    }
  }

  /** End the worker and what it does. */
  close() {
    this.client?.close();
    this.client = null;
    this.isBusy = false;
  }
}
