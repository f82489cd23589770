// What happens at the end of the line, and beside it: your turn, a pause, another tab, a hidden one.
"use strict";

const assert = require("node:assert/strict");
const test = require("node:test");

const { smoothed } = require("./script.js");
const { BORN, POLL, Tab, good, line, randomFrom, said, silence, started, status } = require("./tab.js");

const called = { number: BORN, position: 1 };
const admitted = (seconds) => said({ state: "admitted", seconds });
const patient = { facts: { enter_seconds: 5 } };
const asked = { facts: { ask_first: true, enter_seconds: 5 } };

// -- your turn

test("the door opens by itself after a countdown that can be seen", async () => {
  const tab = await started(called, () => admitted(), patient);
  await tab.pass(9.5);
  assert.equal(tab.entered, 0);
  assert.deepEqual(tab.views.map((view) => view.secondsLeft).filter((left) => left !== null), [5, 4, 3, 2, 1]);
  await tab.pass(1);
  assert.deepEqual(tab.goneIn, [true]);
});

test("the countdown never outlasts the slot", async () => {
  const tab = await started(called, () => admitted(3), patient);
  await tab.pass(6);
  assert.equal(tab.entered, 0);
  await tab.pass(0.6);
  assert.deepEqual(tab.goneIn, [true]);
});

test("who says so goes in at once, and only once", async () => {
  const tab = await started(called, () => admitted(), patient);
  await tab.pass(6);
  tab.visitor.enter();
  tab.visitor.enter();
  await tab.pass(60);
  assert.deepEqual(tab.goneIn, [true]);
  assert.deepEqual(tab.asked, ["check_in"]);
});

for (const [name, seconds, expected] of [["a long lease", 600, 60], ["a short one", 40, 20], ["an unknown one", undefined, 60]]) {
  test(`who needs more time renews their slot and gets it: ${name}`, async () => {
    const tab = await started(called, () => admitted(seconds), patient);
    await tab.pass(6);
    tab.visitor.moreTime();
    await tab.pass(0);
    assert.deepEqual(tab.asked, ["check_in", "check_in"]);
    await tab.pass(expected - 1);
    assert.equal(tab.entered, 0);
    await tab.pass(2);
    assert.deepEqual(tab.goneIn, [true]);
  });
}

test("more time can be asked for ten times", async () => {
  const tab = await started(called, () => admitted(600), patient);
  await tab.pass(6);
  for (let i = 0; i < 10; i += 1) {
    tab.visitor.moreTime();
    await tab.pass(50);
  }
  assert.equal(tab.entered, 0);
  assert.equal(tab.mostInFlight, 1);
});

for (const [name, answer] of [["gone", said({ state: "gone" })], ["silence", silence], ["an error", new Error("network")]]) {
  test(`who can't have more time goes in: ${name}`, async () => {
    const tab = await started(called, (what, n) => (n === 1 ? admitted() : answer), patient);
    await tab.pass(6);
    tab.visitor.moreTime();
    await tab.pass(0);
    assert.equal(tab.entered, 1);
  });
}

test("nobody counts down to an empty chair: a hidden tab goes in at once", async () => {
  const tab = new Tab(called, () => admitted(), patient);
  tab.hidden = true;
  tab.visitor.start();
  await tab.pass(6);
  assert.deepEqual(tab.goneIn, [true]);
});

test("a tab that is put away during the countdown goes in", async () => {
  const tab = await started(called, () => admitted(), patient);
  await tab.pass(6);
  tab.hidden = true;
  tab.visitor.hide();
  assert.deepEqual(tab.goneIn, [true]);
});

test("a hidden tab that rings gives its visitor the time to come", async () => {
  const tab = new Tab(called, () => admitted(), patient);
  tab.hidden = tab.alerting = true;
  tab.visitor.start();
  await tab.pass(8);
  assert.equal(tab.entered, 0);
  await tab.pass(3);
  assert.equal(tab.entered, 1);
});

test("where the site asks first, nobody checks in who does not say so, and their place is kept", async () => {
  const answers = (what) => (what === "status" ? good({ serving: BORN + 600 }) : admitted());
  const tab = await started({}, answers, asked);
  await tab.pass(600);
  assert.deepEqual(new Set(tab.asked), new Set(["status"]));
  assert.equal(tab.view.state, "called");
  tab.visitor.enter();
  await tab.pass(0);
  assert.deepEqual(tab.asked.at(-1), "check_in");
  tab.visitor.enter();
  assert.deepEqual(tab.goneIn, [true]);
});

test("who said that they are here waits for room like everybody else", async () => {
  const answers = (what) =>
    what === "status" ? good({ serving: BORN + 600 }) : said({ state: "ready", position: 4, poll: 3 });
  const tab = await started({}, answers, asked);
  await tab.pass(6);
  tab.visitor.enter();
  await tab.pass(10);
  assert.deepEqual([tab.view.state, tab.view.position], ["ready", 4]);
  assert.ok(tab.asked.filter((what) => what === "check_in").length >= 3);
});

test("who slept through their call is told that their place was kept, and goes in", async () => {
  const answers = (what, n) => {
    if (what === "status") return good({ serving: n > 1 ? BORN + 600 : BORN, grace: 6 });
    return n < 6 ? said({ state: "ready", position: 1, poll: 2 }) : admitted();
  };
  const tab = await started({}, answers);
  await tab.pass(20);
  const timers = [...tab.timers.values()];
  for (const timer of timers) timer.at += 3600; // a suspended machine
  tab.now += 3000;
  tab.visitor.wake();
  await tab.pass(1);
  assert.equal(tab.view.state, "missed");
  await tab.pass(60);
  assert.ok(tab.views.some((view) => view.state === "admitted"));
  assert.deepEqual(tab.goneIn, [true]);
});

// -- a line that stands still

for (const state of ["paused", "opens", "closed"]) {
  test(`an invited visitor hears it too: ${state}`, async () => {
    const body = { state, position: 3, poll: 3, message: "Back at noon", opens_at: 77 };
    const tab = await started(called, () => said(body));
    await tab.pass(6);
    assert.deepEqual([tab.view.state, tab.view.wait, tab.view.message, tab.view.opensAt],
      [state, null, "Back at noon", 77]);
  });

  test(`without a number nobody reloads while it lasts, and everybody does when it is over: ${state}`, async () => {
    const place = { state, number: null, position: null, serving: 0, issued: 0 };
    let now = state;
    const tab = await started(place, () => said(status({ state: now, message: "Hm", opens_at: 5 })));
    await tab.pass(120);
    assert.deepEqual([tab.entered, tab.view.state, tab.view.message, tab.view.opensAt], [0, state, "Hm", 5]);
    assert.ok(tab.sent.length <= 6, `${tab.sent.length}`);
    now = "waiting";
    await tab.pass(60);
    assert.deepEqual(tab.goneIn, [false]);
  });
}

test("a line that is closed is asked about as often as before: when it opens again, nobody may be late", async () => {
  const asked = async (state) => {
    const options = { random: randomFrom(3) };
    const tab = await started({}, () => said(status({ state, admitted_per_minute: 6000 })), options);
    await tab.pass(600);
    return tab;
  };
  const closed = await asked("closed");
  assert.equal(closed.view.state, "closed");
  assert.equal(closed.sent.length, (await asked("waiting")).sent.length);
});

test("a line that is closed may open again", async () => {
  let now = "closed";
  const tab = await started({}, () => said(status({ state: now })));
  await tab.pass(60);
  now = "waiting";
  await tab.pass(40);
  assert.equal(tab.view.state, "waiting");
});

test("the standing message gives way to the operator's, and comes back", async () => {
  const facts = { standing: "Doors at eight" };
  const tab = await started({}, (what, n) => good({ message: n === 1 ? "Row A is sold out" : "" }), { facts });
  assert.equal(tab.view.message, "Doors at eight");
  await tab.pass(6);
  assert.equal(tab.view.message, "Row A is sold out");
  await tab.pass(60);
  assert.equal(tab.view.message, "Doors at eight");
});

// -- hidden, offline, several

test("a hidden tab far back asks about once a minute", async () => {
  const place = { number: BORN + 100_000, position: 100_000, issued: BORN + 200_000 };
  const tab = new Tab(place, () => good({ issued: BORN + 200_000, admitted_per_minute: 600 }), { random: randomFrom(3) });
  tab.hidden = true;
  tab.visitor.start();
  await tab.pass(3600);
  assert.ok(tab.sent.length >= 50 && tab.sent.length <= 76, `${tab.sent.length}`);
});

test("a hidden tab that may be called soon asks as if it could be seen", async () => {
  const answers = () => good({ admitted_per_minute: 1, step: 500, grace: 6.8 });
  const tab = new Tab({}, answers);
  tab.hidden = true;
  tab.visitor.start();
  await tab.pass(60);
  for (const pause of tab.pauses) assert.ok(Math.abs(pause - 4) < 1e-6, `${pause}`);
});

test("a browser without a network says so at once, and what is known stays", async () => {
  const tab = await started({}, (what, n) => (n === 1 || n > 3 ? good({}) : new Error("network")));
  await tab.pass(20);
  tab.online = false;
  await tab.pass(25);
  assert.deepEqual([tab.view.notice, tab.view.state, tab.view.position], ["offline", "waiting", 500]);
  tab.online = true;
  tab.visitor.wake(POLL.floor);
  await tab.pass(60);
  assert.equal(tab.view.notice, "");
});

function browser(tabs) {
  for (const tab of tabs) {
    Object.defineProperty(tab, "told", {
      value: { push: (news) => tabs.forEach((other) => other !== tab && other.visitor.hear(structuredClone(news))) },
    });
    tab.visitor.start();
  }
}

async function passTogether(tabs, seconds) {
  for (let i = 0; i < seconds * 10; i += 1) for (const tab of tabs) await tab.pass(0.1);
}

test("five tabs of one browser ask hardly more often than one", async () => {
  const random = randomFrom(11);
  const tabs = Array.from({ length: 5 }, () => new Tab({}, () => good({ admitted_per_minute: 300 }), { random }));
  browser(tabs);
  await passTogether(tabs, 300);
  const sent = tabs.reduce((sum, tab) => sum + tab.sent.length, 0);
  assert.ok(sent <= 300 / 8 + 5, `${sent} requests instead of 30 by one tab`);
  for (const tab of tabs) assert.equal(tab.view.position, 500);
});

test("what one tab hears at the door, all tabs know: both go in, and both have left", async () => {
  for (const [what, body, seen] of [
    ["check_in", { state: "admitted" }, "admitted"], ["leave", { state: "left" }, "left"],
    ["check_in", { state: "ready", position: 2, poll: 3 }, "ready"],
  ]) {
    const tab = await started({}, () => good({}));
    tab.visitor.hear({ number: BORN + 500, what, body });
    assert.equal(tab.view.state, seen);
  }
});

for (const [name, news] of [
  ["nothing", null],
  ["of another place", { number: BORN + 501, what: "check_in", body: { state: "admitted" } }],
  ["that makes no sense", { number: BORN + 500, what: "status", body: { state: 7 } }],
]) {
  test(`news from another tab is no news here: ${name}`, async () => {
    const tab = await started({}, () => good({}));
    tab.visitor.hear(news);
    await tab.pass(1);
    assert.deepEqual([tab.view.state, tab.entered, tab.view.notice], ["waiting", 0, ""]);
  });
}

test("tabs that hear of their turn from another one don't all run to the door", async () => {
  const tab = await started({}, () => said({ state: "ready", position: 1, poll: 3 }));
  tab.visitor.hear({ number: BORN + 500, what: "status", body: status({ serving: BORN + 600 }) });
  await tab.pass(1);
  assert.equal(tab.sent.length, 0);
  await tab.pass(3);
  assert.equal(tab.sent.length, 1);
});

// -- what is said of the wait

test("progress never goes backwards, also over a reload", async () => {
  const ahead = [0, 100, 90, 200, 50, 300, 400];
  const answers = (what, n) => good({ serving: BORN + Math.min(ahead[n] || 450, 499), ready: n === 3 ? 80 : 0, updated: n });
  const tab = await started({}, answers);
  await tab.pass(300);
  const seen = tab.views.map((view) => view.progress);
  seen.forEach((progress, i) => assert.ok(i === 0 || progress >= seen[i - 1], `${seen}`));
  const reloaded = await started({ position: 480 }, answers, { memory: tab.memory });
  assert.ok(reloaded.view.progress >= seen.at(-1));
  const newcomer = await started({ number: BORN + 501, position: 480 }, answers, { memory: tab.memory });
  assert.ok(newcomer.view.progress < 0.01);
});

test("the wait never climbs without a reason", async () => {
  for (let seed = 1; seed <= 40; seed += 1) {
    const random = randomFrom(seed);
    const answers = (what, n) =>
      good({ serving: BORN + Math.min(n, 400), ready: Math.floor(random() * 9), admitted_per_minute: 20 + random() * (seed < 20 ? 10 : 200), updated: n });
    const tab = await started({}, answers, { random });
    await tab.pass(1200);
    let last = Infinity;
    for (const { wait, isSlower } of tab.views) {
      if (wait === null) continue;
      assert.ok(wait[1] <= last || isSlower, `seed ${seed}: from ${last} to ${wait[1]}`);
      last = wait[1];
    }
  }
});

test("a line that becomes much slower is said to be, and the wait catches up", () => {
  let wait = 600;
  let isSlower = false;
  for (let i = 0; i < 30; i += 1) {
    const next = smoothed(wait, 3000, 20);
    wait = next.seconds;
    isSlower = isSlower || next.isSlower;
  }
  assert.ok(isSlower);
  assert.ok(wait > 2000, `${wait}`);
});

test("a line that goes at its pace counts down", () => {
  assert.deepEqual(smoothed(600, 580, 20), { seconds: 580, isSlower: false });
  assert.deepEqual(smoothed(null, 580, 20), { seconds: 580, isSlower: false });
  assert.deepEqual(smoothed(600, null, 20), { seconds: null, isSlower: false });
});

test("a thousand pages of a line that goes on after a pause do not ask in the same instant", async () => {
  const random = randomFrom(5);
  let state = "paused";
  const moments = new Map();
  const tabs = Array.from({ length: 1000 }, () => new Tab({}, () => said(status({ state, admitted_per_minute: 60 })), { random }));
  for (const tab of tabs) {
    tab.visitor.start();
    await tab.pass(90);
  }
  state = "waiting";
  for (const tab of tabs) {
    const before = tab.sent.length;
    await tab.pass(40);
    for (const { at } of tab.sent.slice(before)) moments.set(Math.floor(at), (moments.get(Math.floor(at)) || 0) + 1);
  }
  assert.ok(Math.max(...moments.values()) <= 90, JSON.stringify([...moments]));
});
