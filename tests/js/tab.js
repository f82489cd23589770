// One page under a clock that moves when a test says so.
"use strict";

const assert = require("node:assert/strict");

const { visitorInLine } = require("./script.js");

const POLL = { floor: 2, ceiling: 30, divisor: 10, guarded: 3 };
const BORN = 1_700_000_000_000_000;

const line = (changes) => ({
  serving: BORN, issued: BORN + 1000, ready: 0, step: 0, gap: null, admitted_per_minute: 0,
  poll: POLL, grace: 600, updated: 1, ...changes,
});
const status = (changes) => ({ event: "gala", state: "open", message: "", ...line(changes) });
const good = (changes) => ({ body: status(changes), retryAfter: 0 });
const said = (body, retryAfter = 0) => ({ body, retryAfter });
const silence = said(null);

function randomFrom(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

// One page. `answers` gives an answer (or an Error) to each request; it comes `latency` later.
class Tab {
  constructor(place, answers, options = {}) {
    this.now = options.now || 0;
    this.timers = new Map();
    this.sent = [];
    this.views = [];
    this.countdown = [];
    this.entered = 0;
    this.inFlight = 0;
    this.mostInFlight = 0;
    this.hidden = false;
    this.online = true;
    this.alerting = false;
    this.memory = options.memory || null;
    this.told = [];
    this.goneIn = [];
    this.answers = answers;
    this.latency = options.latency || (() => 0);
    this.nextTimer = 1;
    this.visitor = visitorInLine(
      { event: "gala", message: "", standing: "", poll: POLL, urls: {}, ...options.facts },
      {
        state: "waiting", number: BORN + 500, position: 500, is_about: true, wait_seconds: null,
        serving: BORN, issued: BORN + 1000, poll_seconds: 5, ...place,
      },
      {
        now: () => this.now,
        random: options.random || (() => 0.5),
        after: (seconds, action) => this.after(seconds, action),
        cancel: (timer) => this.timers.delete(timer),
        ask: (what) => this.ask(what),
        abort: () => this.abort && this.abort(),
        show: (view) => this.views.push({ ...view }),
        showOpening: (left) => this.countdown.push(left),
        enter: (isAdmitted) => {
          this.entered += 1;
          this.goneIn.push(isAdmitted);
        },
        tell: (news) => this.told.push(news),
        recall: () => this.memory,
        remember: (memory) => { this.memory = memory && { ...memory }; },
        isHidden: () => this.hidden,
        isOnline: () => this.online,
        isAlerting: () => this.alerting,
        refusesCookies: () => !!options.refusesCookies,
      });
  }

  after(seconds, action) {
    assert.ok(Number.isFinite(seconds) && seconds >= 0, `a timer of ${seconds} s`);
    this.timers.set(this.nextTimer, { at: this.now + seconds, action });
    return this.nextTimer++;
  }

  ask(what) {
    this.sent.push({ what, at: this.now });
    this.inFlight += 1;
    this.mostInFlight = Math.max(this.mostInFlight, this.inFlight);
    return new Promise((resolve, reject) => {
      let isSettled = false;
      const settle = (how, value) => {
        if (isSettled) return;
        isSettled = true;
        this.inFlight -= 1;
        how(value);
      };
      this.abort = () => settle(reject, new Error("aborted"));
      this.after(this.latency(), () => {
        const answer = this.dated(this.answers(what, this.sent.length));
        settle(answer instanceof Error ? reject : resolve, answer);
      });
    });
  }

  // An answer that says nothing about when it was made is new.
  dated(answer) {
    if (!answer.body || answer.body.updated !== 1) return answer;
    return { ...answer, body: { ...answer.body, updated: 1 + Math.floor(this.now * 1000) } };
  }

  async pass(seconds) {
    const until = this.now + seconds;
    for (;;) {
      await new Promise(setImmediate);
      const next = [...this.timers].sort((a, b) => a[1].at - b[1].at)[0];
      if (!next || next[1].at > until) break;
      this.timers.delete(next[0]);
      this.now = Math.max(this.now, next[1].at);
      next[1].action();
    }
    this.now = until;
  }

  get view() { return this.views[this.views.length - 1]; }
  get asked() { return this.sent.map((request) => request.what); }
  get pauses() { return this.sent.slice(1).map((request, i) => request.at - this.sent[i].at); }
}

async function started(place, answers, options) {
  const tab = new Tab(place, answers, options);
  tab.visitor.start();
  await tab.pass(0);
  return tab;
}

module.exports = { BORN, POLL, Tab, good, line, randomFrom, said, silence, started, status };
