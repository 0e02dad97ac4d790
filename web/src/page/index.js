/**
 * All of the viewer as one script without imports, for pages of their own: the same text runs in
 * the page, where it defines `<doh-viewer>` and `doh3d`, and in its workers.
 */

import { fromBase64 } from "../bytes.js";
import * as decoder from "../index.js";
import * as writers from "../export.js";
import { afterKey } from "../viewer/camera.js";
import { DohViewer } from "../viewer/element.js";
import { startPage } from "./controls.js";
import { serve } from "../worker/server.js";

if (typeof document === "undefined") {
  serve({
    listen: (listener) => self.addEventListener("message", listener),
    send: (message, transfer) => self.postMessage(message, { transfer }),
  });
} else {
  const text = document.currentScript?.textContent;
  /** @type {string | undefined} */
  let address;
  if (text) {
    DohViewer.makeWorker = () => {
      address ??= URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
      return new Worker(address);
    };
  }
  customElements.define("doh-viewer", DohViewer);
  const doh3d = { ...decoder, ...writers, DohViewer, afterKey, fromBase64 };
  Object.assign(globalThis, { doh3d });
  if (document.getElementById("doh-files")) startPage();
}
