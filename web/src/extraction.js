/**
 * From a field to a closed triangle mesh, evaluating only where the surface can be.
 *
 * The mesh has the inside where evaluating every node of the lattice would have it.
 */

import { makeCells } from "./cells.js";
import { LogitBounds } from "./bounds.js";
import { checkSurface, checkWork } from "./limits.js";
import { Networks } from "./networks.js";
import { NodeLogits, latticeOver } from "./nodes.js";
import { COARSEST, LEAF, openLeaves } from "./search.js";
import { SliceMesher, closedValue } from "./surface.js";

/** Nodes, or boxes, that a network is asked for at a time. */
const ROWS = 128;

/** Evaluations of the network that bounding it over a block costs. */
const EVALUATIONS_OF_BOUNDS = 10;

/**
 * Extract the surface.
 *
 * @param {import("./header.js").Header} header
 * @param {import("./weights.js").Weights} weights
 * @param {import("./transform.js").Transform} transform
 * @param {{resolution: number, limits: import("./limits.js").Limits, wasm: boolean}} options
 * @returns {import("./field.js").Mesh}
 */
export function extract(header, weights, transform, { resolution, limits, wasm }) {
  const lattice = latticeOver(header.halfSides, resolution);
  const { origin, spacing, cells } = lattice;
  const tableRows = cells.reduce((sum, count) => sum + count + 1, 0);
  const networks = new Networks(header, weights, ROWS, { bounds: true, tableRows, wasm });
  const boxes = makeCells(header);
  const nodes = new NodeLogits(networks, boxes, lattice);
  const costOfOne = header.weightCount / networks.cells;
  let work = 0;
  /** @param {number} evaluations */
  const spend = (evaluations) => {
    work += evaluations * costOfOne;
    checkWork(limits, work, header.n, resolution);
  };
  /** @type {Map<number, LogitBounds>} */
  const bounds = new Map();
  const searched = {
    cells,
    /** @param {Int32Array} blocks @param {number} size */
    planes(blocks, size) {
      spend((EVALUATIONS_OF_BOUNDS * blocks.length) / 3);
      let own = bounds.get(size);
      if (!own) {
        own = new LogitBounds(networks, boxes, blockAxes(lattice, size));
        bounds.set(size, own);
      }
      return own.planes(blocks);
    },
  };
  const mesher = new SliceMesher([cells[1] + 1, cells[2] + 1], (place) =>
    transform.toWorld(place.map((at, axis) => origin[axis] + spacing * at)),
  );
  const buffer = new LayerBuffer(cells);
  for (let layer = 0; layer * COARSEST < cells[0]; layer++) {
    for (const leaves of byFirstAxis(openLeaves(searched, layer))) {
      const open = buffer.mark(leaves);
      spend(open.length / 3);
      buffer.fill(open, nodes.evaluate(open));
      buffer.mesh(leaves, mesher);
      checkSurface(limits, mesher.crossed, resolution);
      buffer.advance(open);
    }
  }
  return mesher.mesh();
}

/**
 * The blocks of a size along each axis.
 *
 * @param {import("./nodes.js").Lattice} lattice
 * @param {number} size
 * @returns {import("./cell_bounds.js").BoxAxis[]}
 */
function blockAxes({ origin, spacing, cells }, size) {
  const halfSide = (size * spacing) / 2;
  return cells.map((count, axis) => {
    const centres = new Float64Array(Math.ceil(count / size));
    for (let i = 0; i < centres.length; i++) centres[i] = origin[axis] + halfSide * (2 * i + 1);
    return { centres, halfSide };
  });
}

/**
 * @param {import("./search.js").Leaf[]} leaves
 * @returns {import("./search.js").Leaf[][]} Those of each layer of leaves, in order.
 */
function byFirstAxis(leaves) {
  /** @type {import("./search.js").Leaf[][]} */
  const layers = [];
  for (const leaf of leaves) (layers[(leaf.corner[0] % COARSEST) / LEAF] ??= []).push(leaf);
  return layers.filter((layer) => layer);
}

/** The nodes of a layer of leaves. */
class LayerBuffer {
  /** @param {number[]} cells Of the lattice. */
  constructor(cells) {
    this.cells = cells;
    this.columns = cells[2] + 1;
    this.plane = (cells[1] + 1) * this.columns;
    this.values = new Float32Array((LEAF + 1) * this.plane);
    this.isMarked = new Uint8Array(this.values.length);
    /** To a cell's corners from its lowest. */
    this.corners = Int32Array.from(
      { length: 8 },
      (_, corner) => (corner & 1) * this.plane + ((corner >> 1) & 1) * this.columns + (corner >> 2),
    );
    this.own = new Float32Array(8);
    this.first = 0;
    /** Nodes of the lowest plane that the layer before has evaluated. @type {number[]} */
    this.known = [];
  }

  /**
   * Find the nodes of the open cells.
   *
   * @param {import("./search.js").Leaf[]} leaves
   * @returns {Int32Array} Three indices each.
   */
  mark(leaves) {
    const first = leaves[0].corner[0];
    if (first !== this.first + LEAF) this.#forget();
    this.first = first;
    /** @type {number[]} */
    const found = [];
    for (const { corner, open } of leaves) {
      for (let cell = 0; cell < open.length; cell++) {
        if (!open[cell]) continue;
        const lowest = this.#lowestNode(corner, cell);
        for (const offset of this.corners) {
          const node = lowest + offset;
          if (this.isMarked[node]) continue;
          this.isMarked[node] = 1;
          const row = Math.floor(node / this.columns);
          const x = Math.floor(node / this.plane);
          found.push(corner[0] + x, row - x * (this.cells[1] + 1), node - row * this.columns);
        }
      }
    }
    return Int32Array.from(found);
  }

  /**
   * @param {Int32Array} nodes
   * @param {Float64Array} logits
   */
  fill(nodes, logits) {
    for (let i = 0; i < logits.length; i++) {
      const [x, y, z] = [nodes[3 * i], nodes[3 * i + 1], nodes[3 * i + 2]];
      const isAtBox =
        x === 0 ||
        y === 0 ||
        z === 0 ||
        x === this.cells[0] ||
        y === this.cells[1] ||
        z === this.cells[2];
      this.values[this.#place(nodes, i)] = closedValue(logits[i], isAtBox);
    }
  }

  /**
   * @param {import("./search.js").Leaf[]} leaves
   * @param {SliceMesher} mesher
   */
  mesh(leaves, mesher) {
    for (let x = 0; x < LEAF; x++) {
      mesher.begin(leaves[0].corner[0] + x);
      for (const { corner, open } of leaves) {
        for (let cell = x * LEAF * LEAF; cell < (x + 1) * LEAF * LEAF; cell++) {
          if (!open[cell]) continue;
          const lowest = this.#lowestNode(corner, cell);
          for (let c = 0; c < 8; c++) this.own[c] = this.values[lowest + this.corners[c]];
          mesher.add(corner[1] + ((cell >> 2) & 3), corner[2] + (cell & 3), this.own);
        }
      }
    }
  }

  /**
   * Make ready for the next layer, of which the highest plane is the lowest.
   *
   * @param {Int32Array} nodes Those that have been evaluated.
   */
  advance(nodes) {
    this.#forget();
    for (let i = 0; 3 * i < nodes.length; i++) {
      const place = this.#place(nodes, i);
      this.isMarked[place] = 0;
      const below = place - LEAF * this.plane;
      if (below < 0) continue;
      this.values[below] = this.values[place];
      this.known.push(below);
    }
    for (const place of this.known) this.isMarked[place] = 1;
  }

  #forget() {
    for (const place of this.known) this.isMarked[place] = 0;
    this.known.length = 0;
  }

  /**
   * @param {Int32Array} nodes
   * @param {number} i
   */
  #place(nodes, i) {
    const x = nodes[3 * i] - this.first;
    return x * this.plane + nodes[3 * i + 1] * this.columns + nodes[3 * i + 2];
  }

  /**
   * @param {number[]} corner
   * @param {number} cell
   */
  #lowestNode(corner, cell) {
    const [x, y, z] = [cell >> 4, (cell >> 2) & 3, cell & 3];
    return x * this.plane + (corner[1] + y) * this.columns + corner[2] + z;
  }
}
