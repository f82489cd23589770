// The page's own draw: the same places as Python's, held against the same vectors (tests/test_draw.py).
"use strict";

const assert = require("node:assert/strict");
const test = require("node:test");

const { countingBy, drawnBy, placeInDraw, sha256 } = require("./script.js");
const vectors = require("./draw.json");

const hex = (words) => words.map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");

for (const [text, expected] of vectors.hashes) {
  test(`SHA-256 of ${text.length} letters`, () => assert.equal(hex(sha256(text)), expected));
}

for (const [seed, count, ordinal, expected] of vectors.places) {
  test(`arrival ${ordinal} of ${count} with ${seed.slice(-6) || "an empty seed"}`, () => {
    assert.equal(placeInDraw(seed, count, ordinal), expected);
  });
}

for (const [name, [first, last], hole, number, expected] of vectors.numbers) {
  test(`after the draw: ${name}`, () => {
    const [born, seed] = [vectors.born, vectors.seed];
    const draw = {
      seed, first: born + first, last: born + last, hole: hole ? hole.map((n) => born + n) : [0, 0],
    };
    assert.equal(countingBy(draw, born + number, drawnBy(draw, born + number)), born + expected);
  });
}

test("everybody has a place of their own", () => {
  for (const count of [1, 2, 3, 4, 5, 16, 17, 100]) {
    const places = Array.from({ length: count }, (_, i) => placeInDraw("5eed", count, i + 1));
    assert.deepEqual(places.sort((a, b) => a - b), Array.from({ length: count }, (_, i) => i + 1));
  }
});

test("a seed with one wrong bit puts nearly everybody elsewhere", () => {
  const [right, wrong] = ["5eed", "5eee"].map(
    (seed) => Array.from({ length: 200 }, (_, i) => placeInDraw(seed, 5000, i + 1)));
  assert.ok(right.filter((place, i) => place === wrong[i]).length < 5);
});
