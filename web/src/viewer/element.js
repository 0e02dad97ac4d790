/** `<doh-viewer src="bunny.doh">`: a shape that turns by mouse, touch and keys. */

import { DohFormatError } from "../index.js";
import { FIRST_VIEW } from "./camera.js";
import { Extractor } from "./extractor.js";
import { followGestures } from "./gestures.js";
import { CLAY, Renderer } from "./renderer.js";
import { STYLE } from "./style.js";

const RESOLUTIONS = [32, 64, 128, 256, 512];
const STANDARD = 128;

/** What is shown first, while a finer mesh is made. */
const ROUGH = 32;

const HINT = "Drag or use the arrow keys to turn, + and - to zoom, Home to go back.";

// Workers run the same text as pages, and have no elements.
const Element = /** @type {typeof HTMLElement} */ (globalThis.HTMLElement ?? Object);

/**
 * Attributes: `src`, a file's address; `resolution`; `up`, the upright axis, y unless given;
 * `azimuth` and `elevation`, from where it is seen at first, in degrees; `label`, what the shape is
 * called; `plain`, where the line below is not wanted.
 *
 * Events: `doh-mesh` where a mesh is shown, with `detail.mesh` and `detail.resolution`; `doh-error`
 * with `detail.message`; `doh-view` where somebody has turned the shape.
 */
export class DohViewer extends Element {
  static observedAttributes = ["src", "resolution", "up"];

  /**
   * How workers are made; null where meshes are to be extracted in the page's own thread.
   *
   * @type {(() => Worker) | null}
   */
  static makeWorker = null;

  /** @type {import("./camera.js").View} */
  #view = { ...FIRST_VIEW };
  /** @type {Extractor | null} */
  #extractor = null;
  /** @type {Renderer | null} */
  #renderer = null;
  /** Counts what is shown: what was asked for before is not shown any more. */
  #turn = 0;
  #isDue = false;

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];
    root.innerHTML = `<div class="stage"><canvas tabindex="0" role="img" part="canvas"></canvas>
      <p class="note" role="status"></p></div>
      <div class="bar" part="bar"><span class="facts"></span>
      <label>Resolution <select></select></label></div>`;
    /** @param {string} selector */
    const find = (selector) => /** @type {HTMLElement} */ (root.querySelector(selector));
    this.canvas = /** @type {HTMLCanvasElement} */ (find("canvas"));
    this.note = find(".note");
    this.facts = find(".facts");
    this.select = /** @type {HTMLSelectElement} */ (find("select"));
    this.canvas.title = HINT;
    this.select.append(...RESOLUTIONS.map((number) => new Option(String(number))));
    this.select.addEventListener("change", () =>
      this.setAttribute("resolution", this.select.value),
    );
    followGestures(
      this.canvas,
      () => this.#view,
      (view) => {
        this.view = view;
        this.dispatchEvent(new CustomEvent("doh-view", { detail: view }));
      },
      () => this.#first,
    );
    this.resizing = new ResizeObserver(() => this.redraw());
    /** The mesh that is shown. @type {import("../field.js").Mesh | null} */
    this.mesh = null;
    /** What is framed, unless the mesh itself. @type {[number[], number[]] | undefined} */
    this.box = undefined;
    /** Red, green and blue of the surface, 0 to 1. */
    this.colour = CLAY;
  }

  connectedCallback() {
    this.resizing.observe(this.canvas);
    this.#showResolution();
    this.view = this.#first;
  }

  disconnectedCallback() {
    this.resizing.disconnect();
    this.#extractor?.close();
  }

  /** @param {string} name */
  attributeChangedCallback(name) {
    if (name === "src") this.#fetch();
    else if (name === "up") this.redraw();
    else {
      this.#showResolution();
      if (this.#extractor) this.#extract();
    }
  }

  /** From where the shape is seen. */
  get view() {
    return this.#view;
  }

  set view(view) {
    this.#view = { ...view };
    this.redraw();
  }

  /** From where it is seen at first. */
  get #first() {
    const [azimuth, elevation] = /** @type {const} */ (["azimuth", "elevation"]).map((name) => {
      const wanted = this.getAttribute(name) ?? "";
      return wanted && Number.isFinite(Number(wanted)) ? Number(wanted) : FIRST_VIEW[name];
    });
    return { ...FIRST_VIEW, azimuth, elevation };
  }

  get resolution() {
    return Number(this.getAttribute("resolution")) || STANDARD;
  }

  /**
   * Show a file.
   *
   * @param {Uint8Array} bytes
   * @param {string} [name]
   * @returns {Promise<void>} When the mesh is shown, or what is wrong with the file is said.
   */
  async load(bytes, name) {
    if (name !== undefined) this.setAttribute("label", name);
    this.clear();
    try {
      this.#extractor = new Extractor(bytes, DohViewer.makeWorker);
    } catch (error) {
      return this.#fail(error);
    }
    return this.#extract();
  }

  /** Show nothing. */
  clear() {
    this.#turn++;
    this.#extractor?.close();
    this.#extractor = null;
    this.mesh = null;
    this.facts.textContent = this.note.textContent = "";
    this.#renderer?.setMesh(null);
    this.redraw();
  }

  /**
   * Show a mesh that comes from elsewhere.
   *
   * @param {import("../field.js").Mesh} mesh
   * @param {string} name
   */
  showMesh(mesh, name) {
    this.clear();
    this.canvas.setAttribute("aria-label", `${name}. ${HINT}`);
    this.#draw(mesh);
  }

  async #fetch() {
    const address = this.getAttribute("src");
    if (!address) return this.clear();
    const name = this.getAttribute("label") ?? address.split(/[?#]/)[0].split("/").pop() ?? "";
    const turn = ++this.#turn;
    try {
      const answer = await fetch(address);
      if (!answer.ok) throw new Error(`${name}: the server answers ${answer.status}`);
      const bytes = new Uint8Array(await answer.arrayBuffer());
      if (turn === this.#turn) await this.load(bytes, name);
    } catch (error) {
      if (turn === this.#turn) this.#fail(error);
    }
  }

  /** Extract, roughly first, and show. */
  async #extract() {
    const extractor = /** @type {Extractor} */ (this.#extractor);
    const turn = ++this.#turn;
    const { resolution } = this;
    const label = this.getAttribute("label") ?? "shape";
    const size = `${extractor.bytes.length.toLocaleString("en")} bytes`;
    const steps = this.mesh || resolution <= ROUGH ? [resolution] : [ROUGH, resolution];
    try {
      for (const step of steps) {
        this.note.textContent = `Decoding at resolution ${step} …`;
        const mesh = await extractor.mesh(step);
        if (turn !== this.#turn) return;
        this.#draw(mesh);
        const faces = (mesh.indices.length / 3).toLocaleString("en");
        this.facts.textContent = `${size}, ${faces} triangles`;
        this.canvas.setAttribute("aria-label", `${label}, ${size}, resolution ${step}. ${HINT}`);
        const detail = { mesh, resolution: step };
        this.dispatchEvent(new CustomEvent("doh-mesh", { detail }));
      }
      this.note.textContent = this.mesh?.indices.length
        ? ""
        : "There is nothing inside this shape.";
    } catch (error) {
      if (turn === this.#turn) this.#fail(error);
    }
  }

  /** @param {import("../field.js").Mesh} mesh */
  #draw(mesh) {
    this.mesh = mesh;
    this.#renderer ??= new Renderer(this.canvas);
    this.#renderer.setMesh(mesh, this.box);
    this.redraw();
  }

  /** @param {unknown} error */
  #fail(error) {
    const { message } = /** @type {Error} */ (error);
    const isOwn = error instanceof DohFormatError || error instanceof RangeError;
    this.note.textContent = isOwn ? `This cannot be shown: ${message}.` : message;
    this.dispatchEvent(new CustomEvent("doh-error", { detail: { message } }));
  }

  #showResolution() {
    const wanted = String(this.resolution);
    if (![...this.select.options].some(({ value }) => value === wanted)) {
      this.select.append(new Option(wanted));
    }
    this.select.value = wanted;
  }

  /** Draw again, before the next frame. */
  redraw() {
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      if (!this.#renderer) return;
      const { clientWidth, clientHeight } = this.canvas;
      const pixels = devicePixelRatio || 1;
      const [width, height] = [clientWidth, clientHeight].map((side) => Math.round(side * pixels));
      if (this.canvas.width !== width) this.canvas.width = width;
      if (this.canvas.height !== height) this.canvas.height = height;
      const up = /** @type {import("./camera.js").Axis} */ (this.getAttribute("up") ?? "y");
      this.#renderer.colour = this.colour;
      this.#renderer.draw(this.#view, "xyz".includes(up) ? up : "y");
    });
  }
}
