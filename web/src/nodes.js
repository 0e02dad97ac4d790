/** The logits of a lattice's nodes, whose encoding is looked up axis by axis. */

import { shareOf } from "./cells.js";

/**
 * The lattice that a surface is extracted on: nodes at `origin + spacing (i, j, k)`.
 *
 * @typedef {object} Lattice
 * @property {number[]} origin Normalised.
 * @property {number} spacing
 * @property {number[]} cells Along each axis.
 */

/**
 * Cubic cells over the domain.
 *
 * @param {number[]} halfSides
 * @param {number} resolution Cells along the longest side.
 * @returns {Lattice}
 */
export function latticeOver(halfSides, resolution) {
  const spacing = (2 * Math.max(...halfSides)) / resolution;
  const cells = halfSides.map((side) => Math.ceil((2 * side) / spacing - 1e-9));
  return { origin: halfSides.map((side) => -side), spacing, cells };
}

/** Evaluates nodes. */
export class NodeLogits {
  /**
   * @param {import("./networks.js").Networks} networks With a table row for each node of each axis.
   * @param {import("./cells.js").Cell[]} cells
   * @param {Lattice} lattice
   */
  constructor(networks, cells, lattice) {
    this.networks = networks;
    this.cells = cells;
    const { mirrored, halfSides } = networks.header;
    const counts = lattice.cells.map((count) => count + 1);
    this.firsts = [0, counts[0], counts[0] + counts[1]];
    /** Of each axis and node whether it is beyond the domain. */
    this.beyond = counts.map((count) => new Uint8Array(count));
    /** Of each cell, axis and node the cell's share. */
    this.shares = cells.map(() => counts.map((count) => new Float64Array(count)));
    /** Of each axis and node the cells that have a share, 32 in a number. */
    this.masks = counts.map((count) => [new Int32Array(count), new Int32Array(count)]);
    counts.forEach((count, axis) => {
      for (let i = 0; i < count; i++) {
        const at = Math.fround(lattice.origin[axis] + lattice.spacing * i);
        this.beyond[axis][i] = Number(Math.abs(at) > halfSides[axis]);
        this.#addNode(axis, i, mirrored[axis] ? Math.abs(at) : at);
      }
    });
  }

  /**
   * @param {number} axis
   * @param {number} i
   * @param {number} x Folded.
   */
  #addNode(axis, i, x) {
    this.cells.forEach((cell, number) => {
      const share = shareOf(cell, axis, x);
      this.shares[number][axis][i] = share;
      if (share === 0) return;
      this.masks[axis][number >> 5][i] |= 1 << (number & 31);
      const u = (x - cell.middle[axis]) / cell.half[axis];
      this.networks.fillRow(number, this.firsts[axis] + i, axis, u, axis === 0);
    });
  }

  /**
   * Evaluate some nodes.
   *
   * @param {Int32Array} nodes Three indices each.
   * @returns {Float64Array} Logits; -Infinity beyond the domain.
   */
  evaluate(nodes) {
    const count = nodes.length / 3;
    const sums = new Float64Array(count);
    const totals = new Float64Array(count);
    this.#byCell(nodes).forEach((own, cell) => {
      for (let first = 0; first < own.length; first += this.networks.rows) {
        const some = own.slice(first, first + this.networks.rows);
        this.#addNetwork(cell, nodes, some, sums, totals);
      }
    });
    const [x, y, z] = this.beyond;
    for (let i = 0; i < count; i++) {
      const isBeyond = x[nodes[3 * i]] || y[nodes[3 * i + 1]] || z[nodes[3 * i + 2]];
      sums[i] = isBeyond ? -Infinity : sums[i] / totals[i];
    }
    return sums;
  }

  /**
   * @param {Int32Array} nodes
   * @returns {number[][]} For each cell the nodes that it has a share of.
   */
  #byCell(nodes) {
    /** @type {number[][]} */
    const found = this.cells.map(() => []);
    for (let i = 0; 3 * i < nodes.length; i++) {
      for (let half = 0; half < 2; half++) {
        let mask = -1;
        for (let axis = 0; axis < 3; axis++) mask &= this.masks[axis][half][nodes[3 * i + axis]];
        for (; mask; mask &= mask - 1) found[32 * half + 31 - Math.clz32(mask & -mask)].push(i);
      }
    }
    return found;
  }

  /**
   * @param {number} cell
   * @param {Int32Array} nodes
   * @param {number[]} some Of the nodes.
   * @param {Float64Array} sums
   * @param {Float64Array} totals
   */
  #addNetwork(cell, nodes, some, sums, totals) {
    const { kernels, index } = this.networks;
    const [, second, third] = this.firsts;
    some.forEach((node, row) => {
      const at = index + 3 * row;
      kernels.ints[at] = nodes[3 * node];
      kernels.ints[at + 1] = second + nodes[3 * node + 1];
      kernels.ints[at + 2] = third + nodes[3 * node + 2];
    });
    const values = this.networks.forwardRows(cell, some.length);
    const [x, y, z] = this.shares[cell];
    some.forEach((node, row) => {
      const share = x[nodes[3 * node]] * y[nodes[3 * node + 1]] * z[nodes[3 * node + 2]];
      sums[node] += share * kernels.heap[values + 4 * row];
      totals[node] += share;
    });
  }
}
