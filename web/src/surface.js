/** Vertices and faces of a surface, cell after cell. */

import { EDGES, TRIANGLES } from "./marching.js";

/** Stands for what overflows: interpolation must not overflow as well. */
const LARGEST_LOGIT = 1e30;

/** A node exactly on the surface would collapse triangles around it. */
const SMALLEST_LOGIT = 1e-6;

/**
 * A node's value that marching cubes can work on: finite, and not near 0.
 *
 * @param {number} logit NaN counts as outside.
 * @param {boolean} isAtBox Whether the node is one of the outermost, which become outside.
 */
export function closedValue(logit, isAtBox) {
  let value = Number.isNaN(logit) ? -1 : Math.max(-LARGEST_LOGIT, Math.min(LARGEST_LOGIT, logit));
  if (isAtBox) value = -Math.abs(value);
  return Math.abs(value) < SMALLEST_LOGIT ? -SMALLEST_LOGIT : value;
}

/** A list of numbers that grows. */
class Growing {
  /** @param {Float32ArrayConstructor | Uint32ArrayConstructor} kind */
  constructor(kind) {
    this.kind = kind;
    this.numbers = new kind(3072);
    this.length = 0;
  }

  /** @param {number} a @param {number} b @param {number} c */
  push(a, b, c) {
    if (this.length + 3 > this.numbers.length) {
      const larger = new this.kind(2 * this.numbers.length);
      larger.set(this.numbers);
      this.numbers = larger;
    }
    this.numbers[this.length++] = a;
    this.numbers[this.length++] = b;
    this.numbers[this.length++] = c;
  }

  whole() {
    return this.numbers.slice(0, this.length);
  }
}

/**
 * Meshes slice after slice of cells across the first axis. Vertices are welded as they come: each
 * slice keeps those of its upper plane of nodes for the next.
 */
export class SliceMesher {
  /**
   * @param {number[]} counts Nodes along the second and the third axis.
   * @param {(place: number[]) => number[]} toWorld From units of nodes to the shape's own.
   */
  constructor([rows, columns], toWorld) {
    this.columns = columns;
    this.toWorld = toWorld;
    this.positions = new Growing(Float32Array);
    this.indices = new Growing(Uint32Array);
    /** Numbers of the vertices on edges along x, and on each plane of nodes along y and z. */
    this.along = new Int32Array(rows * columns).fill(-1);
    this.planes = [0, 1].map(() => [0, 1].map(() => new Int32Array(rows * columns).fill(-1)));
    // Numbers only grow: one below is left over from another slice.
    this.start = 0;
    this.startBefore = 0;
    this.slice = -1;
    /** Cells that the surface has crossed. */
    this.crossed = 0;
  }

  /**
   * Begin the slice between planes of nodes x and x + 1.
   *
   * @param {number} x
   */
  begin(x) {
    this.startBefore = x === this.slice + 1 ? this.start : this.count;
    this.start = this.count;
    this.slice = x;
    this.planes.reverse();
  }

  get count() {
    return this.positions.length / 3;
  }

  /**
   * Mesh one cell.
   *
   * @param {number} y
   * @param {number} z
   * @param {Float32Array} values At its corners.
   */
  add(y, z, values) {
    let inside = 0;
    for (let corner = 0; corner < 8; corner++) if (values[corner] > 0) inside |= 1 << corner;
    const triangles = TRIANGLES[inside];
    if (!triangles.length) return;
    this.crossed++;
    for (let i = 0; i < triangles.length; i += 3) {
      const a = this.#vertex(triangles[i], y, z, values);
      const b = this.#vertex(triangles[i + 1], y, z, values);
      this.indices.push(a, b, this.#vertex(triangles[i + 2], y, z, values));
    }
  }

  /**
   * @param {number} edge
   * @param {number} y
   * @param {number} z
   * @param {Float32Array} values
   * @returns {number} The number of the vertex on an edge.
   */
  #vertex(edge, y, z, values) {
    const [corner, axis] = EDGES[edge];
    const [dx, dy, dz] = [corner & 1, (corner >> 1) & 1, corner >> 2];
    const numbers = axis === 0 ? this.along : this.planes[dx][axis - 1];
    const at = (y + dy) * this.columns + z + dz;
    if (numbers[at] >= (axis === 0 || dx === 1 ? this.start : this.startBefore)) return numbers[at];
    numbers[at] = this.count;
    const [from, to] = [values[corner], values[corner + (1 << axis)]];
    const place = [this.slice + dx, y + dy, z + dz];
    place[axis] += from / (from - to);
    const [a, b, c] = this.toWorld(place);
    this.positions.push(a, b, c);
    return numbers[at];
  }

  /** @returns {import("./field.js").Mesh} */
  mesh() {
    return /** @type {import("./field.js").Mesh} */ ({
      positions: this.positions.whole(),
      indices: this.indices.whole(),
    });
  }
}
