// What is left until an opening, second by second: by the event's clock, whatever the visitor's says.
"use strict";

const assert = require("node:assert/strict");
const test = require("node:test");

const { countdownOf, isStatus } = require("./script.js");
const { Tab, good, randomFrom, said, silence, started, status } = require("./tab.js");

// The event's clock when the page was made; when it opens; and what it says after so many seconds of the page's.
const MADE = 5_000_000;
const OPENS = MADE + 90_000;
const clockAt = (seconds) => MADE + Math.floor(seconds * 1000);
const place = { state: "opens", opens_at: OPENS, clock: MADE, poll_seconds: 5 };
const early = { ...place, state: "early", number: null, position: null, poll_seconds: 30 };
const opensAt = (clock, changes) => good({ state: "opens", opens_at: OPENS, clock: clock, ...changes });

// A page whose answers are `age` seconds old when they are read.
async function waiting(options = {}) {
  const { age = () => 0, changes = {}, start = place, ...more } = options;
  let tab = null;
  const answers = () => opensAt(clockAt(tab.now - age()), { state: start.state, ...changes });
  tab = new Tab(start, answers, more);
  tab.visitor.start();
  await tab.pass(0);
  return tab;
}

for (const [left, text] of [
  [86_399, "23:59:59"], [36_000, "10:00:00"], [7_509, "2:05:09"], [3_600, "1:00:00"], [3_599, "59:59"],
  [750, "12:30"], [600, "10:00"], [309, "5:09"], [60, "1:00"], [45, "0:45"], [9, "0:09"], [1, "0:01"],
]) {
  test(`${left} seconds are left: ${text}`, () => {
    assert.equal(countdownOf(left), text);
  });
}

for (const start of [place, { ...place, position: null, draw: { hash: "ab" } }, early]) {
  test(`it is counted down second by second: ${start.state}${start.draw ? ", before a draw" : ""}`, async () => {
    const tab = await waiting({ start, changes: start.draw ? { draw: start.draw } : {} });
    await tab.pass(70.5);
    assert.deepEqual([...new Set(tab.countdown)], Array.from({ length: 71 }, (_, i) => 90 - i));
    await tab.pass(19.6);
    assert.equal(tab.countdown[tab.countdown.length - 1], 0);
  });
}

test("once it is time nothing is counted any more", async () => {
  const tab = await waiting({ start: early });
  await tab.pass(91);
  const before = tab.countdown.length;
  await tab.pass(25);
  assert.ok(tab.countdown.length <= before + tab.sent.length);
  assert.deepEqual(new Set(tab.countdown.slice(before)), new Set(tab.countdown.length > before ? [0] : []));
});

test("between its questions a page shows the countdown and nothing else anew", async () => {
  const tab = await waiting({ start: early });
  await tab.pass(20);
  assert.deepEqual([tab.sent.length, tab.views.length], [0, 1]);
  assert.equal(tab.countdown.length, 21);
});

test("a hidden tab counts nothing, and is right at once when it is looked at", async () => {
  const tab = new Tab(early, () => silence);
  tab.hidden = true;
  tab.visitor.start();
  await tab.pass(20.5);
  assert.deepEqual(tab.countdown, []);
  tab.hidden = false;
  tab.visitor.wake();
  assert.deepEqual(tab.countdown, [70]);
  await tab.pass(3);
  tab.hidden = true;
  tab.visitor.hide();
  const before = tab.countdown.length;
  assert.equal(tab.countdown[before - 1], 67);
  await tab.pass(5);
  assert.equal(tab.countdown.length, before);
});

test("answers that a cache kept for a second or three don't have it jump", async () => {
  const random = randomFrom(7);
  const tab = await waiting({ age: () => 3 * random() });
  await tab.pass(85);
  assert.ok(tab.sent.length >= 3);
  tab.countdown.reduce((last, left) => {
    assert.ok(left === last || left === last - 1, `${last} → ${left}`);
    return left;
  });
});

test("a page that took long to arrive is put right by the first answer", async () => {
  let tab = null;
  tab = new Tab(place, () => opensAt(clockAt(tab.now + 8)));
  tab.visitor.start();
  await tab.pass(20);
  assert.equal(tab.countdown[tab.countdown.length - 1], 90 - 20 - 8);
});

test("an older answer of another cache puts nothing off", async () => {
  let tab = null;
  const answers = (what, n) => n === 1
    ? opensAt(clockAt(tab.now), { updated: 9_000 }) : opensAt(MADE - 60_000, { updated: 8_000 });
  tab = new Tab(place, answers);
  tab.visitor.start();
  await tab.pass(50);
  assert.ok(tab.sent.length > 1);
  assert.deepEqual([tab.countdown[tab.countdown.length - 1], tab.view.opensAt], [40, OPENS]);
});

test("a clock that was wrong for an answer is believed again when it is right", async () => {
  let tab = null;
  tab = new Tab(place, (what, n) => opensAt(clockAt(tab.now + (n === 1 ? 40 : 0))));
  tab.visitor.start();
  await tab.pass(6);
  assert.equal(tab.countdown[tab.countdown.length - 1], 90 - 6 - 40);
  await tab.pass(40);
  assert.equal(tab.countdown[tab.countdown.length - 1], 90 - 46);
});

test("an answer without a clock is taken at the time it was made", async () => {
  let tab = null;
  tab = new Tab({ ...place, clock: 0 }, () => opensAt(undefined, { updated: clockAt(tab.now) }));
  tab.visitor.start();
  await tab.pass(1);
  assert.deepEqual(tab.countdown, [null]);
  await tab.pass(9);
  assert.equal(tab.countdown[tab.countdown.length - 1], 80);
});

test("an opening that an operator puts off, or takes away, is counted anew", async () => {
  let tab = null;
  let opens = OPENS;
  tab = new Tab(place, () => opensAt(clockAt(tab.now), { opens_at: opens, state: opens ? "opens" : "waiting" }));
  tab.visitor.start();
  await tab.pass(10);
  opens = OPENS + 60_000;
  await tab.pass(30);
  assert.deepEqual([tab.countdown[tab.countdown.length - 1], tab.view.opensAt], [110, opens]);
  opens = 0;
  await tab.pass(30);
  assert.deepEqual([tab.countdown[tab.countdown.length - 1], tab.view.opensAt], [null, 0]);
});

test("an invited visitor is told by the answer to their check-in", async () => {
  let tab = null;
  const body = () => ({ state: "opens", position: 3, poll: 3, opens_at: OPENS, clock: clockAt(tab.now), message: "" });
  tab = new Tab({ number: 1_700_000_000_000_000, position: 1 }, () => said(body()));
  tab.visitor.start();
  await tab.pass(10);
  assert.deepEqual([tab.asked[0], tab.countdown[tab.countdown.length - 1], tab.view.opensAt], ["check_in", 80, OPENS]);
});

test("an outage keeps the countdown going: the time that was announced stands", async () => {
  const tab = await started(place, (what, n) => (n === 1 ? opensAt(clockAt(5)) : good({ state: "outage" })));
  await tab.pass(60);
  assert.equal(tab.view.state, "outage");
  assert.equal(tab.countdown[tab.countdown.length - 1], 30);
});

test("whoever is over and out has nothing counted", async () => {
  const tab = await waiting({ start: place });
  tab.visitor.hear({ number: 1_700_000_000_000_500, what: "leave", body: {} });
  const before = tab.countdown.length;
  await tab.pass(30);
  assert.equal(tab.view.state, "left");
  assert.equal(tab.countdown.length, before);
});

test("a face that can't show it costs nobody their place", async () => {
  const errors = [];
  const log = console.error;
  console.error = (error) => errors.push(error.message);
  try {
    let tab = null;
    tab = new Tab(place, () => tab.now < 90 ? opensAt(clockAt(tab.now)) : good({}));
    tab.countdown.push = () => { throw new Error("no such format"); };
    tab.visitor.start();
    await tab.pass(130);
    assert.deepEqual([tab.view.state, tab.view.position, new Set(errors).size], ["waiting", 500, 1]);
  } finally {
    console.error = log;
  }
});

for (const [name, changes] of [
  ["a time that is a text", { opens_at: "noon" }],
  ["a time before all times", { opens_at: -5 }],
  ["a clock that is a list", { opens_at: OPENS, clock: [] }],
  ["a clock with a fraction", { opens_at: OPENS, clock: 0.5 }],
]) {
  test(`an opening is believed whole or not at all: ${name}`, () => {
    assert.equal(isStatus(status(changes), "gala"), false);
  });
}
