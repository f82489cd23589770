// The waiting page's state machine under a clock that moves when a test says so.
"use strict";

const assert = require("node:assert/strict");
const test = require("node:test");

const { isStatus, makesNews, movesTo, pollSeconds, positionOf } = require("./script.js");
const { BORN, POLL, Tab, good, line, randomFrom, said, silence, started, status } = require("./tab.js");

const positions = [
  ["the next in line", {}, 1, 1],
  ["the five hundredth", {}, 500, 500],
  ["an invited visitor is never before the first", { serving: BORN + 600 }, 500, 1],
  ["those who are ready stand in front too", { ready: 7 }, 500, 507],
  ["a gap ahead counts for nobody", { gap: [BORN + 100, BORN + 300] }, 500, 300],
  ["a gap behind the visitor", { gap: [BORN + 500, BORN + 700] }, 500, 500],
  ["a gap that was crossed", { serving: BORN + 300, gap: [BORN + 100, BORN + 300] }, 500, 200],
  ["a gap that is half crossed",
    { serving: BORN + 200, gap: [BORN + 100, BORN + 300] }, 500, 200],
  ["a gap right before the visitor", { gap: [BORN + 299, BORN + 499] }, 500, 300],
  ["a gap right behind those being served", { gap: [BORN, BORN + 200] }, 500, 300],
];
for (const [name, changes, ordinal, expected] of positions) {
  test(`position: ${name}`, () => {
    assert.equal(positionOf(line(changes), BORN + ordinal), expected);
  });
}

const periods = [
  ["far back and slow: the ceiling", { admitted_per_minute: 1 }, 500, 30],
  ["a tenth of the expected wait", { admitted_per_minute: 300 }, 500, 10],
  ["nearly there: the floor", { admitted_per_minute: 300 }, 20, 2],
  ["may be called by the next move: the grace, less an old answer and the jitter",
    { admitted_per_minute: 1, step: 500, grace: 6.8 }, 500, 4],
  ["may be called by the next but one", { admitted_per_minute: 1, step: 499, grace: 7 }, 500, 10],
  ["moves are reckoned without the gap",
    { admitted_per_minute: 1, step: 300, grace: 6.8, gap: [BORN + 100, BORN + 300] }, 500, 4],
  ["a short grace: never below the floor", { admitted_per_minute: 1, step: 500, grace: 3 }, 500, 2],
  ["speed unknown, in front: the floor", {}, 10, 2],
  ["speed unknown, further back", {}, 100, 10],
  ["speed unknown, far back: the ceiling", {}, 500, 30],
];
for (const [name, changes, ordinal, expected] of periods) {
  test(`period: ${name}`, () => {
    assert.ok(Math.abs(pollSeconds(line(changes), BORN + ordinal) - expected) < 1e-9);
  });
}

// tests/test_places.py has the same vectors.
const moves = [
  [0, 16, 1], [1, 16, 1], [16, 16, 1], [17, 16, 2], [80, 16, 2], [81, 16, 3], [336, 16, 3],
  [337, 16, Infinity], [5, 1, 2], [3, 0, 2], [500_000, 5000, Infinity],
];
for (const [ahead, step, expected] of moves) {
  test(`moves: ${ahead} ahead by steps from ${step}`, () => {
    assert.equal(movesTo(ahead, step, 3), expected);
  });
}

const garbage = [
  ["nothing", null],
  ["a text", "open"],
  ["a list", []],
  ["an empty object", {}],
  ["another event's answer", status({ event: "other" })],
  ["a serving that is a text", status({ serving: "12" })],
  ["a serving beyond exact numbers", status({ serving: 2 ** 53, issued: 2 ** 53 })],
  ["a serving below zero", status({ serving: -1 })],
  ["more served than issued", status({ serving: BORN + 1001 })],
  ["a rate that is not a number", status({ admitted_per_minute: null })],
  ["a rate below zero", status({ admitted_per_minute: -1 })],
  ["a message that is an object", status({ message: {} })],
  ["a missing poll policy", status({ poll: undefined })],
  ["a floor of nothing", status({ poll: { ...POLL, floor: 0 } })],
  ["a floor above the ceiling", status({ poll: { ...POLL, floor: 31 } })],
  ["a ceiling without end", status({ poll: { ...POLL, ceiling: 1e9 } })],
  ["a divisor of zero", status({ poll: { ...POLL, divisor: 0 } })],
  ["a gap that runs backwards", status({ gap: [9, 3] })],
  ["a gap with one end", status({ gap: [9] })],
  ["a missing ready", status({ ready: undefined })],
];
for (const [name, body] of garbage) {
  test(`garbage is an error and moves nobody: ${name}`, async () => {
    assert.equal(isStatus(body, "gala"), false);
    const tab = await started({}, (what, n) => (n === 1 ? good({ ready: 3 }) : said(body)));
    await tab.pass(120);
    assert.equal(tab.view.position, 503);
    assert.equal(tab.view.state, "waiting");
    assert.equal(tab.view.notice, "retrying");
    assert.equal(tab.entered, 0);
  });
}

test("a well-formed answer is taken, whatever it has besides", () => {
  assert.ok(isStatus(status({ gap: [BORN, BORN + 5], leases: 3, updated: 1 }), "gala"));
});

for (const [random, factor] of [[0, 0.8], [0.5, 1], [0.75, 1.1]]) {
  test(`every pause is spread over a fifth either way: a die that shows ${random}`, async () => {
    const answers = () => good({ admitted_per_minute: 300 });
    const tab = await started({}, answers, { random: () => random });
    await tab.pass(60);
    assert.ok(tab.pauses.length >= 4);
    assert.equal(tab.sent[0].at.toFixed(6), (5 * factor).toFixed(6));
    for (const pause of tab.pauses) assert.equal(pause.toFixed(6), (10 * factor).toFixed(6));
  });
}

test("the hundred thousandth in line asks about twice a minute", async () => {
  const place = { number: BORN + 100_000, position: 100_000, issued: BORN + 200_000 };
  const answers = () => good({ issued: BORN + 200_000, admitted_per_minute: 600 });
  const tab = await started(place, answers, { random: randomFrom(1) });
  await tab.pass(3600);
  assert.ok(tab.sent.length >= 100 && tab.sent.length <= 150, `${tab.sent.length}`);
});

test("never two requests in flight, whatever wakes the page and however slow", async () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const random = randomFrom(seed);
    const bodies = [
      good({ step: 5 }), good({ serving: BORN + 500 }), silence, new Error("network"),
    ];
    const tab = await started({}, () => bodies[Math.floor(random() * bodies.length)], {
      random, latency: () => random() * 9,
    });
    for (let i = 0; i < 30; i += 1) {
      await tab.pass(random() * 4);
      tab.visitor.wake(random() * 2);
      if (random() < 0.05) tab.visitor.leave();
    }
    assert.equal(tab.mostInFlight, 1, `seed ${seed}`);
    assert.ok(tab.timers.size <= 2, `seed ${seed}: timers pile up`);
  }
});

test("a stuck request is not followed by another one", async () => {
  const tab = await started({}, () => silence, { latency: () => 1e6 });
  await tab.pass(100);
  tab.visitor.wake();
  await tab.pass(100);
  assert.equal(tab.sent.length, 1);
});

test("the newest answer wins, so a stale cache sends nobody back", async () => {
  const tab = await started({}, (what, n) => good(n === 1 ? { serving: BORN + 400, updated: 9 } : { serving: BORN + 100, updated: 8 }));
  await tab.pass(40);
  assert.ok(tab.sent.length >= 2);
  assert.equal(tab.view.position, 100);
});

test("the operator's message and the wait follow the status", async () => {
  const answers = () => good({ admitted_per_minute: 300, message: "Row A is sold out" });
  const tab = await started({}, answers);
  await tab.pass(6);
  assert.equal(tab.view.message, "Row A is sold out");
  assert.deepEqual(tab.view.wait, [70, 151]);
});

for (const state of ["hold", "paused", "closed"]) {
  test(`a line that stands still says so and promises no time: ${state}`, async () => {
    const tab = await started({}, () => good({ state, admitted_per_minute: 300 }));
    await tab.pass(6);
    assert.equal(tab.view.state, state);
    assert.equal(tab.view.wait, null);
    assert.equal(tab.view.position, 500);
  });
}

test("an invited visitor checks in at once, waits as told and goes in when admitted", async () => {
  const answers = (what, n) => {
    if (what === "status") return good({ serving: BORN + 600 });
    return said(n < 4 ? { state: "ready", position: 3, poll: 4 } : { state: "admitted" });
  };
  const tab = await started({}, answers);
  await tab.pass(60);
  assert.deepEqual(tab.asked, ["status", "check_in", "check_in", "check_in"]);
  assert.deepEqual(tab.pauses, [0, 4, 4]);
  const ready = tab.views.findLast((view) => view.state === "ready");
  assert.deepEqual([ready.position, ready.isAbout], [3, false]);
  assert.equal(tab.view.state, "admitted");
  assert.equal(tab.entered, 1);
});

test("a number that Redis has lost is told to it, once", async () => {
  const answers = (what, n) => {
    if (what === "status") return good({ issued: n === 1 ? BORN + 400 : BORN + 500 });
    return said({ state: "waiting", position: 400, poll: 5, serving: BORN + 100 });
  };
  const tab = await started({}, answers);
  await tab.pass(100);
  assert.deepEqual(tab.asked.slice(0, 3), ["status", "check_in", "status"]);
  assert.equal(tab.asked.filter((what) => what === "check_in").length, 1);
});

test("a line that Redis has lost is told of who waits in it", async () => {
  const lost = good({ state: "open", serving: 0, issued: 0, updated: 9 });
  const answers = (what) => (what === "status" ? lost : said({ state: "admitted" }));
  const tab = await started({}, answers);
  await tab.pass(20);
  assert.deepEqual(tab.asked, ["status", "check_in"]);
});

test("who was admitted asks nothing more, not even when woken", async () => {
  const tab = await started({ number: BORN }, () => said({ state: "admitted" }));
  await tab.pass(6);
  tab.visitor.wake();
  tab.visitor.leave();
  await tab.pass(3600);
  assert.deepEqual(tab.asked, ["check_in"]);
  assert.equal(tab.entered, 1);
});

test("whose place is gone starts again as a newcomer", async () => {
  const tab = await started({ number: BORN }, () => said({ state: "gone" }));
  await tab.pass(6);
  assert.equal(tab.entered, 1);
});

test("who is not invited after all goes back to the shared answer", async () => {
  const answers = (what) =>
    what === "status" ? good({}) : said({ state: "waiting", position: 4, poll: 2 });
  const tab = await started({ serving: BORN + 500 }, answers);
  await tab.pass(9);
  assert.deepEqual(tab.asked.slice(0, 2), ["check_in", "status"]);
  assert.equal(tab.entered, 0);
});

for (const poll of [0, -5, null, "soon", 1e9, NaN]) {
  test(`a check-in answer that says to ask again in ${poll} s starts no storm`, async () => {
    const tab = await started({ number: BORN }, () => said({ state: "ready", position: 1, poll }));
    await tab.pass(60);
    assert.ok(tab.sent.length >= 2 && tab.sent.length <= 40, `${tab.sent.length}`);
  });
}

test("refused cookies end in a word to the visitor and no loop", async () => {
  const tab = await started({ number: BORN }, () => said({ state: "no-ticket" }));
  await tab.pass(6);
  tab.visitor.wake();
  await tab.pass(3600);
  assert.equal(tab.view.state, "cookies");
  assert.equal(tab.sent.length, 1);
  assert.equal(tab.entered, 0);
});

test("a browser known to refuse cookies is told so before it asks anything", async () => {
  const tab = await started({}, () => good({}), { refusesCookies: true });
  await tab.pass(3600);
  assert.equal(tab.view.state, "cookies");
  assert.equal(tab.sent.length, 0);
  assert.equal(tab.entered, 0);
});

test("errors double the pause up to the ceiling and keep what was known", async () => {
  const tab = await started(
    { number: BORN + 5, position: 5 }, (what, n) => (n === 1 ? good({}) : new Error("network")),
    { random: () => 0.999999 });
  await tab.pass(300);
  const pauses = tab.pauses.slice(1, 8).map(Math.round);
  assert.deepEqual(pauses, [4, 8, 16, 30, 30, 30, 30]);
  assert.equal(tab.view.position, 5);
  assert.equal(tab.view.notice, "retrying");
});

test("a good answer ends the back-off", async () => {
  const answers = (what, n) => (n % 5 === 0 ? good({}) : silence);
  const tab = await started({ number: BORN + 5 }, answers, { random: () => 0.999999 });
  await tab.pass(300);
  assert.deepEqual(tab.pauses.slice(3, 6).map(Math.round), [30, 2, 4]);
});

test("one lost answer is not worth a word, and the next good one clears the notice", async () => {
  const answers = (what, n) => (n === 2 || n === 3 ? silence : good({}));
  const tab = await started({ number: BORN + 5 }, answers);
  await tab.pass(120);
  const notices = tab.views.map((view) => view.notice);
  assert.equal(notices.filter((notice) => notice === "retrying").length, 1);
  assert.equal(tab.view.notice, "");
});

test("Retry-After is honoured, also when something wakes the page", async () => {
  const tab = await started({}, (what, n) => (n === 1 ? said(null, 60) : good({})));
  await tab.pass(20);
  assert.equal(tab.sent.length, 1);
  tab.visitor.wake();
  await tab.pass(44);
  assert.equal(tab.sent.length, 1);
  await tab.pass(14);
  assert.equal(tab.sent.length, 2);
  assert.ok(tab.pauses[0] >= 60 && tab.pauses[0] <= 72, `${tab.pauses[0]}`);
});

test("a Retry-After of a year is an error of somebody's, not a sentence", async () => {
  const tab = await started({}, () => said(null, 31_536_000));
  await tab.pass(400);
  assert.equal(tab.sent.length, 2);
});

test("an outage is shown, backed off from and forgotten when it is over", async () => {
  const answers = (what, n) =>
    (n <= 3 ? said(status({ state: "outage", serving: 0, issued: 0, message: "Hm" })) : good({}));
  const tab = await started({}, answers);
  await tab.pass(6);
  assert.deepEqual([tab.view.state, tab.view.position, tab.view.message], ["outage", 500, "Hm"]);
  await tab.pass(200);
  assert.deepEqual([tab.view.state, tab.view.position, tab.view.notice], ["waiting", 500, ""]);
});

test("an outage met at check-in keeps the invitation", async () => {
  const answers = (what, n) =>
    n === 1 ? said({ state: "outage" }, 7) : said({ state: "admitted" });
  const tab = await started({ number: BORN }, answers);
  await tab.pass(30);
  assert.deepEqual(tab.asked, ["check_in", "check_in"]);
  assert.ok(tab.pauses[0] >= 7, `${tab.pauses[0]}`);
  assert.equal(tab.entered, 1);
});

for (const state of ["full", "outage", "hold"]) {
  test(`without a number a page reloads when the site answers, not before: ${state}`, async () => {
    const place = { state, number: null, position: null, serving: 0, issued: 0 };
    const tab = await started(place, (what, n) => (n < 4 ? new Error("network") : good({})));
    await tab.pass(9);
    assert.equal(tab.entered, 0);
    await tab.pass(120);
    assert.equal(tab.entered, 1);
    assert.deepEqual(new Set(tab.asked), new Set(["status"]));
  });
}

test("a page loaded ahead of time joins when it is looked at", async () => {
  const place = { state: "prefetch", number: null, position: null, serving: 0, issued: 0 };
  const tab = new Tab(place, () => good({}));
  tab.hidden = true;
  tab.visitor.start();
  await tab.pass(600);
  assert.equal(tab.sent.length, 0);
  tab.hidden = false;
  tab.visitor.wake();
  await tab.pass(0.1);
  assert.equal(tab.entered, 1);
});

test("a page that wakes up asks at once, but no more often than the floor", async () => {
  const tab = await started({}, () => good({}));
  await tab.pass(5);
  assert.equal(tab.sent.length, 1);
  await tab.pass(10);
  tab.visitor.wake();
  await tab.pass(0);
  assert.equal(tab.sent.length, 2);
  for (let i = 0; i < 100; i += 1) {
    tab.visitor.wake();
    await tab.pass(0.1);
  }
  assert.ok(tab.sent.length <= 2 + 5, `${tab.sent.length}`);
});

test("waking never puts off a request that is due sooner", async () => {
  const tab = await started({}, () => good({}));
  await tab.pass(4.9);
  tab.visitor.wake(60);
  await tab.pass(0.2);
  assert.equal(tab.sent.length, 1);
});

test("a thousand pages whose network comes back do not ask in the same instant", async () => {
  const random = randomFrom(7);
  const tabs = [];
  for (let i = 0; i < 1000; i += 1) {
    const tab = new Tab({}, () => good({}), { random });
    tab.visitor.start();
    tab.now = 3;
    tab.visitor.wake(POLL.floor);
    tabs.push(tab);
  }
  const moments = new Map();
  for (const tab of tabs) {
    await tab.pass(2.5);
    const tenth = Math.floor(tab.sent[0].at * 10);
    moments.set(tenth, (moments.get(tenth) || 0) + 1);
  }
  assert.ok(Math.max(...moments.values()) <= 100, JSON.stringify([...moments]));
});

test("leaving gives up a request on its way, says so and ends all asking", async () => {
  const answers = (what) =>
    what === "leave" ? said({ state: "left" }) : good({ serving: BORN + 900 });
  const tab = await started({}, answers, { latency: () => 1 });
  await tab.pass(5.5);
  assert.equal(tab.inFlight, 1);
  tab.visitor.leave();
  await tab.pass(3600);
  assert.deepEqual(tab.asked, ["status", "leave"]);
  assert.equal(tab.mostInFlight, 1);
  assert.equal(tab.view.state, "left");
  assert.equal(tab.entered, 0);
});

test("who could not leave is still in line and is told so", async () => {
  const tab = await started({}, (what) => (what === "leave" ? new Error("network") : good({})));
  tab.visitor.leave();
  await tab.pass(0);
  assert.equal(tab.view.notice, "leave_failed");
  await tab.pass(60);
  assert.ok(tab.asked.includes("status"));
  assert.equal(tab.view.notice, "");
});

const news = [
  ["nothing changed", {}, false],
  ["a few places", { position: 90 }, false],
  ["half the way", { position: 50 }, true],
  ["another state", { state: "ready" }, true],
  ["a notice", { notice: "retrying" }, true],
  ["no place any more", { position: null }, false],
];
for (const [name, changes, expected] of news) {
  test(`what is read aloud: ${name}`, () => {
    const last = { state: "waiting", position: 100, notice: "" };
    assert.equal(makesNews({ ...last, ...changes }, last), expected);
  });
}
