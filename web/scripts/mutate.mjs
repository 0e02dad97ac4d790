// Damages golden files in many ways, half of them under a right checksum, and decodes what comes
// out: node --expose-gc scripts/mutate.mjs [COUNT [SEED]]. Whatever is thrown but DohFormatError,
// takes more than 5 s of a processor, or grows the process by more than 200 MB is a failure.

import { fileURLToPath } from "node:url";
import { DohFormatError, decode, decodeImage, kindOf } from "../doh3d.js";
import { IMAGES, SHAPES, checked, golden } from "../test/files.mjs";

const MOST_SECONDS = 5;
const MOST_BYTES = 200e6;
const RESOLUTION = 8;

/** Uniform numbers, the same for a seed: xorshift32. */
function generator(seed) {
  let state = (seed + 1) * 2654435761;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

const EDGES = [0, 1, 2, 3, 0x7f, 0x80, 0x81, 0xfe, 0xff];

/** A damaged copy. */
function mutated(bytes, other, random) {
  let found = bytes.slice();
  const times = 1 + random(3);
  for (let i = 0; i < times; i++) {
    const header = Math.min(found.length - 4, 48);
    const at = random(2) ? 3 + random(Math.max(1, header - 3)) : random(found.length);
    switch (random(7)) {
      case 0:
        found[at] ^= 1 << random(8);
        break;
      case 1:
        found[at] = random(256);
        break;
      case 2:
        found[at] = EDGES[random(EDGES.length)];
        break;
      case 3:
        found = found.slice(0, Math.max(4, found.length - 1 - random(found.length)));
        break;
      case 4: {
        const more = Uint8Array.from({ length: 1 + random(40) }, () => random(256));
        found = Uint8Array.from([...found.slice(0, at), ...more, ...found.slice(at)]);
        break;
      }
      case 5:
        found = Uint8Array.from([...found.slice(0, at), ...found.slice(at + 1 + random(4))]);
        break;
      default:
        found = Uint8Array.from([...found.slice(0, at), ...other.slice(random(other.length))]);
    }
    if (found.length < 9) break;
  }
  return found;
}

/** What a reader does with a file: true where it is taken. */
function useFile(bytes) {
  try {
    if (kindOf(bytes) === "image") {
      decodeImage(bytes);
    } else {
      const field = decode(bytes);
      field.logits([...field.bounds[0], 0, 0, 0, ...field.bounds[1]]);
      field.toMesh(RESOLUTION);
    }
    return true;
  } catch (error) {
    if (error instanceof DohFormatError) return false;
    throw error;
  }
}

/** Decode so many damaged files. */
export function mutate(count, seed = 0) {
  const random = generator(seed);
  const seeds = [...SHAPES, ...IMAGES].map(golden);
  const before = process.resourceUsage().maxRSS * 1024;
  const result = { count, taken: 0, slowest: 0, growth: 0 };
  for (let i = 0; i < count; i++) {
    const [bytes, other] = [seeds[random(seeds.length)], seeds[random(seeds.length)]];
    let file = mutated(bytes, other, random);
    if (i % 2 && file.length >= 8) file = checked(file);
    const start = process.cpuUsage();
    try {
      if (useFile(file)) result.taken++;
    } catch (error) {
      throw new Error(`file ${i}: ${Buffer.from(file).toString("hex")}`, { cause: error });
    }
    const { user, system } = process.cpuUsage(start);
    const seconds = (user + system) / 1e6;
    if (seconds > result.slowest) {
      Object.assign(result, { slowest: seconds, of: Buffer.from(file).toString("hex") });
    }
    if (i % 100 === 0) globalThis.gc?.();
    if (count > 1000 && i % 1000 === 0) console.log(`${i} files: ${result.slowest.toFixed(2)} s`);
  }
  result.growth = process.resourceUsage().maxRSS * 1024 - before;
  return result;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const result = mutate(Number(process.argv[2] ?? 100_000), Number(process.argv[3] ?? 0));
  console.log(
    `${result.count} files: ${result.taken} taken, ${result.count - result.taken} refused`,
  );
  console.log(`slowest ${result.slowest.toFixed(2)} s (${result.of?.slice(0, 120)})`);
  console.log(`grown by ${(result.growth / 1e6).toFixed(0)} MB`);
  if (result.slowest > MOST_SECONDS || result.growth > MOST_BYTES) process.exitCode = 1;
}
