// A page before, at and after a draw; and one that is too early for a number, or shares its connection's places.
"use strict";

const assert = require("node:assert/strict");
const test = require("node:test");

const { drawnBy, isStatus } = require("./script.js");
const { BORN, Tab, good, randomFrom, said, started, status } = require("./tab.js");

const SEED = "5eed0fada7ab1e0ff1ce5eed0fada7ab";
const soon = { hash: "ab".repeat(32) };
const done = { ...soon, seed: SEED, first: BORN, last: BORN + 1000, hole: [0, 0] };
const drawn = drawnBy(done, BORN + 500);
const OPENS_IN = 600;
const opens = (draw = soon) => good({ state: "opens", opens_at: 1 + OPENS_IN * 1000, draw });
const early = { state: "early", number: null, position: null, poll_seconds: 30, opens_at: 1 + OPENS_IN * 1000 };

test("before the draw nobody has a place, and is told its seed's hash", async () => {
  const tab = await started({ state: "opens", position: null, draw: soon }, () => opens());
  await tab.pass(10);
  assert.deepEqual(
    [tab.view.state, tab.view.position, tab.view.wait, tab.view.progress], ["opens", null, null, null]);
  assert.equal(tab.view.draw.hash, soon.hash);
  assert.equal(tab.view.draw.place, undefined);
});

test("after the draw the place is the one that was drawn", async () => {
  const tab = await started({ draw: soon, position: null }, () => good({ draw: done }));
  await tab.pass(10);
  assert.equal(tab.view.position, drawn.place);
  assert.deepEqual([tab.view.draw.place, tab.view.draw.count, tab.view.draw.ordinal], [drawn.place, 1000, 500]);
});

test("a draw is checked against the hash that was shown before it, whatever is told afterwards", async () => {
  const tab = await started({ draw: soon, position: null }, () => good({ draw: { ...done, hash: "cd".repeat(32) } }));
  await tab.pass(10);
  assert.equal(tab.view.draw.place, drawn.place);
  assert.equal(tab.view.draw.hash, soon.hash);
});

test("of two hashes before a draw the later counts: an operator may have set it up anew", async () => {
  const another = { hash: "cd".repeat(32) };
  const tab = await started({ draw: soon, position: null }, (what, n) => (n === 1 ? opens(another) : good({ draw: done })));
  await tab.pass(60);
  assert.deepEqual([tab.view.draw.place, tab.view.draw.hash], [drawn.place, another.hash]);
});

test("a page that is loaded after the draw knows its number at once", async () => {
  const called = { draw: done, serving: BORN + drawn.place, position: 1 };
  const tab = await started(called, (what) => what === "check_in" ? said({ state: "ready", position: 1 }) : null);
  await tab.pass(6);
  assert.deepEqual(tab.asked, ["check_in"]);
});

test("who drew a late place is not called by the number of their arrival", async () => {
  const number = Array.from({ length: 1000 }, (_, i) => BORN + 1 + i).find(
    (n) => drawnBy(done, n).place > 900 && n < BORN + 100);
  const tab = await started({ number, draw: done }, () => good({ serving: BORN + 200, draw: done }));
  await tab.pass(10);
  assert.equal(tab.view.state, "waiting");
  assert.equal(tab.view.position, drawnBy(done, number).place - 200);
});

test("who came after the draw keeps their number and is told nothing of it", async () => {
  const tab = await started({ number: BORN + 1200, issued: BORN + 2000 },
    () => good({ issued: BORN + 2000, draw: done }));
  await tab.pass(10);
  assert.equal(tab.view.position, 1200);
  assert.equal(tab.view.draw, null);
});

test("before a draw a hidden tab asks as often as one that is seen: it may be the first", async () => {
  const tab = await started({ draw: soon }, () => opens());
  tab.hidden = true;
  await tab.pass(300);
  assert.ok(tab.sent.length > 8, `${tab.sent.length}`);
});

test("after an opening everybody asks within one longest poll", async () => {
  for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
    const tab = await started({ draw: soon }, () => opens(), { random: randomFrom(seed) });
    await tab.pass(OPENS_IN + 31);
    assert.ok(tab.sent.some(({ at }) => at >= OPENS_IN && at <= OPENS_IN + 30));
  }
});

test("other tabs hear of the draw by the number of the arrival", async () => {
  const tab = await started({ draw: soon }, () => good({ draw: done }));
  await tab.pass(10);
  assert.equal(tab.told[0].number, BORN + 500);
});

for (const [name, draw] of [
  ["a seed that is a number", { ...done, seed: 5 }],
  ["no hash", { ...done, hash: undefined }],
  ["an end before its beginning", { ...done, last: BORN - 1 }],
  ["more visitors than there are people", { ...done, last: 2 ** 53 - 1, first: 0 }],
  ["no hole", { ...done, hole: null }],
  ["a hole that runs backwards", { ...done, hole: [9, 3] }],
  ["a text", "ab"],
]) {
  test(`a draw is believed whole or not at all: ${name}`, () => {
    assert.equal(isStatus(status({ draw }), "gala"), false);
  });
}

test("too early: the page asks seldom, and joins at any moment of a minute once the room opens", async () => {
  const joined = [];
  for (let seed = 1; seed <= 40; seed += 1) {
    let tab = null;
    const answers = () => tab.now < OPENS_IN
      ? good({ state: "early", opens_at: 1 + OPENS_IN * 1000 }) : good({ state: "waiting" });
    tab = new Tab(early, answers, { random: randomFrom(seed) });
    tab.visitor.start();
    await tab.pass(OPENS_IN - 1);
    assert.equal(tab.entered, 0);
    assert.equal(tab.view.state, "early");
    assert.ok(tab.sent.length <= OPENS_IN / 20);
    await tab.pass(62);
    assert.deepEqual(tab.goneIn, [false]);
    joined.push(tab.sent[tab.sent.length - 1].at - OPENS_IN);
  }
  const perTenth = [0, 10, 20, 30, 40, 50].map((from) => joined.filter((at) => at >= from && at < from + 10).length);
  assert.ok(Math.max(...perTenth) <= 16 && Math.min(...perTenth) >= 1, `${perTenth}`);
});

test("too early: who looks at the page at the time joins at once", async () => {
  let state = "early";
  const tab = await started(early, () => good({ state, opens_at: 1 + OPENS_IN * 1000 }));
  await tab.pass(OPENS_IN - 1);
  state = "waiting";
  tab.visitor.wake();
  await tab.pass(3);
  assert.deepEqual(tab.goneIn, [false]);
});

test("who has a number from an earlier time is told only that it opens later", async () => {
  const tab = await started({}, () => good({ state: "early", opens_at: 1 + OPENS_IN * 1000 }));
  await tab.pass(10);
  assert.deepEqual([tab.view.state, tab.view.opensAt, tab.view.position], ["opens", 1 + OPENS_IN * 1000, 500]);
});

test("shared: has no place to speak of, asks as often as it is told, and goes in", async () => {
  let answer = { state: "shared", position: null, poll: 2, serving: BORN, message: "" };
  const tab = await started({ number: BORN, position: 1 }, () => said(answer));
  await tab.pass(10);
  assert.deepEqual([tab.view.state, tab.view.position, tab.view.wait], ["shared", null, null]);
  assert.ok(tab.sent.length >= 3);
  assert.deepEqual(new Set(tab.asked), new Set(["check_in"]));
  answer = { state: "admitted", seconds: 60 };
  await tab.pass(5);
  assert.deepEqual(tab.goneIn, [true]);
});

test("a file that nobody writes any more is an outage, and a new one ends it", async () => {
  let updated = 5_000;
  const tab = await started({}, () => good({ updated, message: "Row A" }));
  await tab.pass(60);
  assert.equal(tab.view.state, "waiting");
  await tab.pass(60);
  assert.deepEqual([tab.view.state, tab.view.position, tab.entered], ["outage", 500, 0]);
  updated = 9_000;
  await tab.pass(60);
  assert.deepEqual([tab.view.state, tab.view.notice], ["waiting", ""]);
});

test("one old answer, as a cache gives to a telephone that wakes up, is no outage", async () => {
  let tab = null;
  let isOld = false;
  tab = await started({}, () => good({ updated: isOld ? 30_000 : 1 + Math.floor(tab.now * 1000) }));
  await tab.pass(30);
  isOld = true;
  tab.now += 3600;
  tab.visitor.wake();
  await tab.pass(1);
  isOld = false;
  assert.equal(tab.view.state, "waiting");
  await tab.pass(60);
  assert.ok(tab.views.every((view) => view.state !== "outage"));
});

test("a page without a number notices a dead file, too", async () => {
  const tab = await started(early, () => good({ state: "early", updated: 5, opens_at: 10 ** 9 }));
  await tab.pass(300);
  assert.equal(tab.view.state, "outage");
});
