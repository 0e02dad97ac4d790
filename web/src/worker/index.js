/**
 * The decoder in a worker: `import { decode } from "doh3d/worker"`. In a page it has the decoder's
 * names, which return promises; the same file is what the worker runs.
 */

import { Client, WorkerField } from "./client.js";
import { serve } from "./server.js";

export { DohFormatError } from "../index.js";
export { WorkerField };

const IS_WORKER =
  typeof document === "undefined" && typeof self !== "undefined" && "postMessage" in self;

if (IS_WORKER) {
  serve({
    listen: (listener) => self.addEventListener("message", listener),
    send: (message, transfer) => self.postMessage(message, { transfer }),
  });
}

function open() {
  return new Client(new Worker(new URL(import.meta.url), { type: "module" }));
}

/**
 * Decode a shape in a worker of its own.
 *
 * @param {Uint8Array} bytes
 * @param {import("../index.js").DecodeOptions} [options]
 * @returns {Promise<WorkerField>} Rejected as `decode` throws.
 */
export async function decode(bytes, options) {
  const client = open();
  try {
    return new WorkerField(client, await client.call("decode", bytes, options));
  } catch (error) {
    client.close();
    throw error;
  }
}

/**
 * Decode an image in a worker.
 *
 * @param {Uint8Array} bytes
 * @param {import("../index.js").DecodeOptions} [options]
 * @returns {Promise<import("../image.js").DecodedImage>} Rejected as `decodeImage` throws.
 */
export async function decodeImage(bytes, options) {
  const client = open();
  try {
    return await client.call("decodeImage", bytes, options);
  } finally {
    client.close();
  }
}
