/** `import "doh3d/viewer"` defines `<doh-viewer>`. */

import { DohViewer } from "./element.js";

export { DohViewer };

DohViewer.makeWorker = () =>
  new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
customElements.define("doh-viewer", DohViewer);
