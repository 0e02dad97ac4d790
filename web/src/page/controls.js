/** What a page of shapes does: choose one, open one, save what is shown. */

import { fromBase64 } from "../bytes.js";
import { toGlb, toPly, toStl } from "../export.js";
import { decodeImage, kindOf } from "../index.js";

/** @typedef {{name: string, bytes: Uint8Array}} NamedFile */

const WRITERS = { ply: toPly, stl: toStl, glb: toGlb };

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @returns {T}
 */
const byId = (id) => /** @type {T} */ (document.getElementById(id));

/** Start the page around its elements; the files in it are `#doh-files`. */
export function startPage() {
  const data = JSON.parse(byId("doh-files").textContent ?? "[]");
  /** @type {NamedFile[]} */
  const files = data.map(
    /** @param {{name: string, data: string}} file */
    ({ name, data }) => ({ name, bytes: fromBase64(data) }),
  );
  /** @type {HTMLSelectElement} */
  const choice = byId("doh-choice");
  choice.append(...files.map(({ name }, index) => new Option(name, String(index))));
  byId("doh-choose").hidden = files.length < 2;
  const shown = new Shown();
  choice.addEventListener("change", () => shown.show(files[Number(choice.value)]));
  if (files.length) shown.show(files[0]);
  else openFiles((file) => shown.show(file));
}

/** What the page shows, and how it is saved. */
class Shown {
  constructor() {
    this.viewer = /** @type {import("../viewer/element.js").DohViewer} */ (
      document.querySelector("doh-viewer")
    );
    /** @type {HTMLCanvasElement} */
    this.picture = byId("doh-image");
    this.message = byId("doh-message");
    this.name = "shape";
    for (const button of document.querySelectorAll("[data-save]")) {
      const kind = /** @type {HTMLElement} */ (button).dataset.save ?? "";
      button.addEventListener("click", () => this.#save(kind));
    }
  }

  /** @param {NamedFile} file */
  show({ name, bytes }) {
    this.name = name.replace(/\.doh$/i, "");
    this.message.textContent = "";
    let isImage = false;
    try {
      isImage = kindOf(bytes) === "image";
      if (isImage) this.#draw(bytes);
    } catch (error) {
      this.message.textContent = `${name}: ${/** @type {Error} */ (error).message}.`;
      return;
    }
    for (const part of document.querySelectorAll("[data-of]")) {
      const isOfImage = /** @type {HTMLElement} */ (part).dataset.of === "image";
      /** @type {HTMLElement} */ (part).hidden = isOfImage !== isImage;
    }
    if (isImage) this.viewer.clear();
    else this.viewer.load(bytes, name);
  }

  /** @param {Uint8Array} bytes */
  #draw(bytes) {
    const { width, height, data } = decodeImage(bytes);
    this.picture.width = width;
    this.picture.height = height;
    this.picture.getContext("2d")?.putImageData(new ImageData(data, width, height), 0, 0);
    const size = bytes.length.toLocaleString("en");
    this.message.textContent = `${size} bytes, ${width} × ${height} pixels`;
  }

  /** @param {string} kind */
  #save(kind) {
    if (kind === "png") {
      this.picture.toBlob((blob) => blob && download(blob, `${this.name}.png`));
      return;
    }
    const { mesh } = this.viewer;
    if (!mesh) return;
    const write = WRITERS[/** @type {keyof typeof WRITERS} */ (kind)];
    download(new Blob([write(mesh)]), `${this.name}.${kind}`);
  }
}

/**
 * @param {Blob} blob
 * @param {string} name
 */
function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/**
 * Open files that are chosen or dropped.
 *
 * @param {(file: NamedFile) => void} open
 */
function openFiles(open) {
  /** @type {HTMLInputElement} */
  const input = byId("doh-open");
  const zone = document.body;
  byId("doh-drop").hidden = false;
  /** @param {FileList | null | undefined} files */
  const take = async (files) => {
    const file = files?.[0];
    if (file) open({ name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) });
  };
  input.addEventListener("change", () => take(input.files));
  zone.addEventListener("dragover", (event) => {
    event.preventDefault();
    zone.classList.add("over");
  });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    take(event.dataTransfer?.files);
  });
}
