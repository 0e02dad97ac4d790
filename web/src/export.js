/** Mesh files: binary PLY and STL, and GLB. */

/** @typedef {import("./field.js").Mesh} Mesh */

/** @param {string} text */
const ascii = (text) => new TextEncoder().encode(text);

/**
 * Join bytes.
 *
 * @param {(Uint8Array | Float32Array | Uint32Array)[]} parts
 * @returns {Uint8Array<ArrayBuffer>}
 */
function joined(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(new Uint8Array(part.buffer, part.byteOffset, part.byteLength), at);
    at += part.byteLength;
  }
  return whole;
}

/**
 * @param {Mesh} mesh
 * @returns {Uint8Array<ArrayBuffer>} A binary PLY file.
 */
export function toPly({ positions, indices }) {
  const header = [
    "ply",
    "format binary_little_endian 1.0",
    `element vertex ${positions.length / 3}`,
    ..."xyz".split("").map((axis) => `property float ${axis}`),
    `element face ${indices.length / 3}`,
    "property list uchar int vertex_indices",
    "end_header\n",
  ];
  const faces = new Uint8Array((13 * indices.length) / 3);
  const view = new DataView(faces.buffer);
  for (let face = 0; 3 * face < indices.length; face++) {
    faces[13 * face] = 3;
    for (let i = 0; i < 3; i++) view.setUint32(13 * face + 1 + 4 * i, indices[3 * face + i], true);
  }
  return joined([ascii(header.join("\n")), positions, faces]);
}

/**
 * @param {Mesh} mesh
 * @returns {Uint8Array<ArrayBuffer>} A binary STL file.
 */
export function toStl({ positions, indices }) {
  const bytes = new Uint8Array(84 + (50 * indices.length) / 3);
  bytes.set(ascii("doh3d"));
  const view = new DataView(bytes.buffer);
  view.setUint32(80, indices.length / 3, true);
  for (let face = 0; 3 * face < indices.length; face++) {
    const corners = [0, 1, 2].map((i) => {
      const at = 3 * indices[3 * face + i];
      return [positions[at], positions[at + 1], positions[at + 2]];
    });
    // The normal stays 0: whoever reads it has the corners' order.
    corners.flat().forEach((value, i) => view.setFloat32(84 + 50 * face + 12 + 4 * i, value, true));
  }
  return bytes;
}

/**
 * @param {Mesh} mesh
 * @returns {Uint8Array<ArrayBuffer>} A GLB file.
 */
export function toGlb({ positions, indices }) {
  const min = [Infinity, Infinity, Infinity];
  const max = [-Infinity, -Infinity, -Infinity];
  for (let i = 0; i < positions.length; i++) {
    min[i % 3] = Math.min(min[i % 3], positions[i]);
    max[i % 3] = Math.max(max[i % 3], positions[i]);
  }
  const [FLOAT, UINT, ARRAY, ELEMENTS] = [5126, 5125, 34962, 34963];
  const isEmpty = indices.length === 0;
  const content = {
    asset: { version: "2.0", generator: "doh3d" },
    ...(!isEmpty && {
      scene: 0,
      scenes: [{ nodes: [0] }],
      nodes: [{ mesh: 0 }],
      meshes: [{ primitives: [{ attributes: { POSITION: 0 }, indices: 1 }] }],
      accessors: [
        {
          bufferView: 0,
          componentType: FLOAT,
          count: positions.length / 3,
          type: "VEC3",
          min,
          max,
        },
        { bufferView: 1, componentType: UINT, count: indices.length, type: "SCALAR" },
      ],
      bufferViews: [
        { buffer: 0, byteLength: positions.byteLength, target: ARRAY },
        {
          buffer: 0,
          byteOffset: positions.byteLength,
          byteLength: indices.byteLength,
          target: ELEMENTS,
        },
      ],
      buffers: [{ byteLength: positions.byteLength + indices.byteLength }],
    }),
  };
  const text = ascii(JSON.stringify(content));
  const json = new Uint8Array((text.length + 3) & ~3).fill(0x20);
  json.set(text);
  const data = positions.byteLength + indices.byteLength;
  const [GLTF, JSON_CHUNK, BIN_CHUNK] = [0x46546c67, 0x4e4f534a, 0x004e4942];
  const bin = isEmpty ? [] : [Uint32Array.of(data, BIN_CHUNK), positions, indices];
  const total = 20 + json.length + (isEmpty ? 0 : 8 + data);
  return joined([Uint32Array.of(GLTF, 2, total, json.length, JSON_CHUNK), json, ...bin]);
}
