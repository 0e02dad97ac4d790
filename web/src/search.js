/** Where the surface can be: cells whose logit's sign is not proved. */

import { PLANES } from "./cell_bounds.js";

/** Cells along a side of the coarsest and of the smallest blocks. */
export const COARSEST = 64;
export const LEAF = 4;

/** Blocks that are bounded at a time: bounds the memory. */
const MANY = 4096;

/** Nodes along a leaf's side, and in it. */
const SIDE = LEAF + 1;

/**
 * Blocks that may be crossed: three node indices each, of their lowest corners.
 *
 * @typedef {number[]} Blocks
 */

/**
 * What is searched.
 *
 * @typedef {object} Searched
 * @property {number[]} cells Along each axis.
 * @property {(boxes: Int32Array, size: number) => Float64Array} planes Of blocks of that many
 *   cells, by their indices among blocks of that size; as `LogitBounds.planes`.
 */

/**
 * A leaf with cells that the surface may cross.
 *
 * @typedef {object} Leaf
 * @property {number[]} corner Its lowest node.
 * @property {Uint8Array} open Of each of its cells, x slowest, whether it is open.
 */

/**
 * Search one layer of the coarsest blocks across the first axis.
 *
 * Every cell that the surface crosses, closed at the lattice's outermost nodes, is among the open
 * ones.
 *
 * @param {Searched} searched
 * @param {number} layer
 * @returns {Leaf[]}
 */
export function openLeaves(searched, layer) {
  const { cells } = searched;
  /** @type {Blocks} */
  let blocks = [];
  for (let y = 0; y < cells[1]; y += COARSEST) {
    for (let z = 0; z < cells[2]; z += COARSEST) blocks.push(layer * COARSEST, y, z);
  }
  for (let size = COARSEST; size > LEAF; size /= 2) {
    /** @type {Blocks} */
    const children = [];
    forEachBounded(searched, blocks, size, (corner, planes, at) => {
      addOpenOctants(cells, corner, planes, at, size / 2, children);
    });
    blocks = children;
  }
  /** @type {Leaf[]} */
  const leaves = [];
  forEachBounded(searched, blocks, LEAF, (corner, planes, at) => {
    const open = openCells(cells, corner, planes, at);
    if (open) leaves.push({ corner, open });
  });
  return leaves;
}

/**
 * @param {Searched} searched
 * @param {Blocks} blocks
 * @param {number} size
 * @param {(corner: number[], planes: Float64Array, at: number) => void} see
 */
function forEachBounded(searched, blocks, size, see) {
  for (let first = 0; first < blocks.length; first += 3 * MANY) {
    const some = blocks.slice(first, first + 3 * MANY);
    const planes = searched.planes(
      Int32Array.from(some, (node) => node / size),
      size,
    );
    for (let i = 0; 3 * i < some.length; i++) see(some.slice(3 * i, 3 * i + 3), planes, PLANES * i);
  }
}

/**
 * Add those of a block's octants in which its planes do not prove the sign.
 *
 * @param {number[]} cells
 * @param {number[]} corner
 * @param {Float64Array} planes
 * @param {number} at
 * @param {number} size Of an octant.
 * @param {Blocks} children
 */
function addOpenOctants(cells, corner, planes, at, size, children) {
  for (let octant = 0; octant < 8; octant++) {
    const sides = [octant & 1, (octant >> 1) & 1, octant >> 2];
    const child = corner.map((node, axis) => node + size * sides[axis]);
    if (child.some((node, axis) => node >= cells[axis])) continue;
    const isInner = child.every((node, axis) => node > 0 && node + size < cells[axis]);
    // The surface is closed at the box: what is positive there has crossed cells.
    const isPositive = lowestOf(planes, at, sides) > 0;
    if (isPositive && isInner) continue;
    // Planes that overflowed are NaN, and prove nothing.
    if (lowestOf(planes, at + 4, sides) > 0) continue;
    children.push(...child);
  }
}

/**
 * The lowest of a plane over an octant.
 *
 * @param {Float64Array} planes
 * @param {number} at
 * @param {number[]} sides 0 or 1 for each axis.
 */
function lowestOf(planes, at, sides) {
  let lowest = planes[at];
  for (let axis = 0; axis < 3; axis++) {
    const half = planes[at + 1 + axis] / 2;
    lowest += half * (2 * sides[axis] - 1) - Math.abs(half);
  }
  return lowest;
}

const proofs = new Uint8Array(SIDE ** 3);

/**
 * The cells of a leaf whose sign its planes do not prove, or null where there are none.
 *
 * @param {number[]} cells
 * @param {number[]} corner
 * @param {Float64Array} planes
 * @param {number} at
 * @returns {Uint8Array | null}
 */
function openCells(cells, corner, planes, at) {
  const last = corner.map((node, axis) => cells[axis] - node);
  const isAtBox = corner.some((node, axis) => node === 0 || last[axis] <= LEAF);
  // A node's proof: 1 where it is positive, 2 where it is negative.
  for (let x = 0, node = 0; x < SIDE; x++) {
    for (let y = 0; y < SIDE; y++) {
      const [s, t] = [x / 2 - 1, y / 2 - 1];
      const below = planes[at] + planes[at + 1] * s + planes[at + 2] * t;
      const above = planes[at + 4] + planes[at + 5] * s + planes[at + 6] * t;
      for (let z = 0; z < SIDE; z++, node++) {
        const r = z / 2 - 1;
        const isNegative = above + planes[at + 7] * r > 0;
        let isPositive = below + planes[at + 3] * r > 0;
        if (isPositive && isAtBox) {
          isPositive = [x, y, z].every((i, axis) => corner[axis] + i > 0 && i !== last[axis]);
        }
        proofs[node] = Number(isPositive) + 2 * Number(isNegative);
      }
    }
  }
  const open = new Uint8Array(LEAF ** 3);
  let isOpen = false;
  const [lastX, lastY, lastZ] = last.map((cell) => Math.min(LEAF, cell));
  for (let x = 0; x < lastX; x++) {
    for (let y = 0; y < lastY; y++) {
      for (let z = 0; z < lastZ; z++) {
        const node = (x * SIDE + y) * SIDE + z;
        if (allProved(node)) continue;
        open[(x * LEAF + y) * LEAF + z] = 1;
        isOpen = true;
      }
    }
  }
  return isOpen ? open : null;
}

/**
 * Whether a cell's corners are all proved to have one sign.
 *
 * @param {number} node Its lowest corner in the leaf.
 */
function allProved(node) {
  const up = node + SIDE * SIDE;
  return Boolean(
    proofs[node] &
    proofs[node + 1] &
    proofs[node + SIDE] &
    proofs[node + SIDE + 1] &
    proofs[up] &
    proofs[up + 1] &
    proofs[up + SIDE] &
    proofs[up + SIDE + 1],
  );
}
