/** `import { DohLoader } from "doh3d/three"`: a loader as three.js has them for other formats. */

import { BufferAttribute, BufferGeometry, FileLoader, Loader } from "three";
import { decode } from "./index.js";
import { vertexNormals } from "./normals.js";

/** Loads `.doh` files as geometries with normals, in the shapes' own units. */
export class DohLoader extends Loader {
  /** @param {import("three").LoadingManager} [manager] */
  constructor(manager) {
    super(manager);
    /** Cells along the longest side: how fine the geometry is, 8 to 1024. */
    this.resolution = 128;
  }

  /**
   * @param {number} resolution
   * @returns {this}
   */
  setResolution(resolution) {
    this.resolution = resolution;
    return this;
  }

  /**
   * @param {string} url
   * @param {(geometry: BufferGeometry) => void} onLoad
   * @param {(event: ProgressEvent) => void} [onProgress]
   * @param {(error: unknown) => void} [onError]
   */
  load(url, onLoad, onProgress, onError) {
    const loader = new FileLoader(this.manager);
    loader.setPath(this.path);
    loader.setResponseType("arraybuffer");
    loader.setRequestHeader(this.requestHeader);
    loader.setWithCredentials(this.withCredentials);
    /** @param {unknown} error */
    const fail = (error) => {
      if (onError) onError(error);
      else console.error(error);
      this.manager.itemError(url);
    };
    loader.load(
      url,
      (buffer) => {
        try {
          onLoad(this.parse(/** @type {ArrayBuffer} */ (buffer)));
        } catch (error) {
          fail(error);
        }
      },
      onProgress,
      fail,
    );
  }

  /**
   * @param {ArrayBuffer} buffer
   * @returns {BufferGeometry} Indexed, with positions and normals.
   * @throws {import("./errors.js").DohFormatError}
   */
  parse(buffer) {
    const mesh = decode(new Uint8Array(buffer)).toMesh(this.resolution);
    const geometry = new BufferGeometry();
    geometry.setAttribute("position", new BufferAttribute(mesh.positions, 3));
    geometry.setAttribute("normal", new BufferAttribute(vertexNormals(mesh), 3));
    geometry.setIndex(new BufferAttribute(mesh.indices, 1));
    return geometry;
  }
}
