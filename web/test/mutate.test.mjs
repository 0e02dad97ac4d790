import assert from "node:assert/strict";
import { test } from "node:test";
import { mutate } from "../scripts/mutate.mjs";

test("damaged files are refused by DohFormatError, or decode", () => {
  const { taken, count } = mutate(400, 7);
  assert.ok(taken > 0 && taken < count);
});
