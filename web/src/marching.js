/**
 * Marching cubes (Lorensen and Cline 1987), its triangles found by going around each cell's faces.
 *
 * Where two inside corners of a face lie opposite each other and the other two are outside, the
 * surface joins the inside ones, so that thin walls stay whole. Neighbouring cells agree in that,
 * and no triangle's side crosses a face, so that no edge has more than two triangles.
 *
 * Corner c of a cell is at (c & 1, c >> 1 & 1, c >> 2) along x, y and z.
 */

/**
 * The twelve edges of a cell: lower corner and axis.
 *
 * @type {[number, number][]}
 */
export const EDGES = [0, 1, 2].flatMap((axis) =>
  [0, 1, 2, 3, 4, 5, 6, 7]
    .filter((corner) => !((corner >> axis) & 1))
    .map((corner) => /** @type {[number, number]} */ ([corner, axis])),
);

/** @param {number} a @param {number} b */
function edgeBetween(a, b) {
  return EDGES.findIndex(
    ([corner, axis]) => corner === (a & b) && a + b === 2 * corner + (1 << axis),
  );
}

/** The corners of each face, counterclockwise as seen from outside. */
const FACES = [0, 1, 2].flatMap((axis) =>
  [0, 1].map((side) => {
    const [u, v] = [1 << ((axis + 1) % 3), 1 << ((axis + 2) % 3)];
    const at = side << axis;
    return side ? [at, at + u, at + u + v, at + v] : [at, at + v, at + u + v, at + u];
  }),
);

/** For each edge the two faces that it is on. */
const FACES_OF_EDGE = EDGES.map(([corner, axis]) =>
  FACES.flatMap((face, number) =>
    face.includes(corner) && face.includes(corner + (1 << axis)) ? [number] : [],
  ),
);

/**
 * Where the surface goes on from each edge that it crosses, so that the
 * triangles are counterclockwise from outside the shape.
 *
 * @param {number} inside A bit for each corner.
 * @returns {Map<number, number>} From edge to edge.
 */
function steps(inside) {
  /** @type {Map<number, number>} */
  const next = new Map();
  for (const face of FACES) {
    const isIn = face.map((corner) => (inside >> corner) & 1);
    for (let i = 0; i < 4; i++) {
      // From outside to inside, going around the face: here a run of outside corners ends.
      if (isIn[i] || !isIn[(i + 1) % 4]) continue;
      // The surface cuts this run off, and the inside corners stay joined.
      let start = i;
      while (!isIn[(start + 3) % 4]) start = (start + 3) % 4;
      const from = edgeBetween(face[(start + 3) % 4], face[start]);
      next.set(edgeBetween(face[i], face[(i + 1) % 4]), from);
    }
  }
  return next;
}

/**
 * Cut a polygon into triangles none of whose inner sides lies on a face.
 *
 * @param {number[]} loop Edges.
 * @returns {number[][] | null}
 */
function triangulate(loop) {
  if (loop.length === 3) return [loop];
  for (let i = 0; i < loop.length; i++) {
    const [a, b, c] = [0, 1, 2].map((step) => loop[(i + step) % loop.length]);
    const isOnFace = FACES_OF_EDGE[a].some((face) => FACES_OF_EDGE[c].includes(face));
    if (isOnFace && loop.length > 3) continue;
    const rest = triangulate(loop.filter((edge) => edge !== b));
    if (rest) return [[a, b, c], ...rest];
  }
  return null;
}

/**
 * The triangles of a cell, three edges each.
 *
 * @param {number} inside A bit for each corner.
 * @returns {number[]}
 */
function trianglesOf(inside) {
  const next = steps(inside);
  const triangles = [];
  while (next.size) {
    const [start] = next.keys();
    const loop = [];
    for (let edge = start; next.has(edge);) {
      loop.push(edge);
      const after = /** @type {number} */ (next.get(edge));
      next.delete(edge);
      edge = after;
    }
    triangles.push(.../** @type {number[][]} */ (triangulate(loop)).flat());
  }
  return triangles;
}

/** For each set of inside corners the cell's triangles. */
export const TRIANGLES = Array.from({ length: 256 }, (_, inside) => trianglesOf(inside));
