// The waiting page's script: asks "is it my turn?", goes in when it is, and says what it knows.
// `visitorInLine` is the whole story and touches no browser; `inBrowser` gives it a clock, a
// network and a face.
(function () {
  "use strict";

  const JITTER = 0.2;
  const REQUEST_SECONDS = 10;
  const LONGEST_PAUSE = 300;
  const STEP_GROWTH = 4;
  const LATE_SECONDS = 2;

  const clamp = (low, high, value) => Math.min(high, Math.max(low, value));
  const isCount = (value) => Number.isSafeInteger(value) && value >= 0;
  const isWithin = (low, high, value) => Number.isFinite(value) && value >= low && value <= high;

  // A floor near zero would turn everybody's page into a load generator.
  const isPoll = (poll) =>
    !!poll && isWithin(0.2, 3600, poll.floor) && isWithin(poll.floor, 3600, poll.ceiling) &&
    isWithin(0.01, 1e6, poll.divisor) && isWithin(1, 100, poll.guarded);

  const isGap = (gap) =>
    gap === null ||
    (Array.isArray(gap) && gap.length === 2 && gap.every(isCount) && gap[0] <= gap[1]);

  // Whole or not at all: half an answer from a broken cache must not move anybody.
  function isStatus(body, event) {
    return !!body && body.event === event &&
      typeof body.state === "string" && typeof body.message === "string" &&
      [body.serving, body.issued, body.ready, body.step, body.updated].every(isCount) &&
      body.serving <= body.issued && isWithin(0.1, 3600, body.grace) && isWithin(0, Infinity, body.admitted_per_minute) &&
      isPoll(body.poll) && isGap(body.gap);
  }

  // Numbers in the gap were never given to anybody.
  function numbersAhead(line, number) {
    const gap = line.gap;
    const isAcross = gap !== null && number > gap[1];
    const missing = isAcross ? Math.max(0, gap[1] - Math.max(gap[0], line.serving)) : 0;
    return number - line.serving - missing;
  }

  const positionOf = (line, number) => Math.max(1, numbersAhead(line, number) + line.ready);

  // The same range as in gate.py, so that the first figures a visitor sees agree with the next.
  function waitOf(line, position) {
    if (position === null || line.admitted_per_minute === 0) return null;
    const seconds = (position * 60) / line.admitted_per_minute;
    return [Math.floor(seconds * 0.7), Math.floor(seconds * 1.5) + 1];
  }

  // Which of the line's next moves can call a number so far ahead at the soonest.
  // decision.py has the same rule, and the tests hold one against the other.
  function movesTo(ahead, step, guarded) {
    let size = Math.max(1, step);
    for (let moves = 1, reach = size; moves <= guarded; moves += 1) {
      if (ahead <= reach) return moves;
      size *= STEP_GROWTH;
      reach += size;
    }
    return Infinity;
  }

  // Never so seldom that a page which may be called soon could miss the grace. Until the line has
  // moved nobody knows its speed: taking one person a second, half a million pages ask seldom.
  function pollSeconds(line, number) {
    const { floor, ceiling, divisor, guarded } = line.poll;
    const perSecond = line.admitted_per_minute / 60 || 1;
    const wait = positionOf(line, number) / perSecond / divisor;
    const moves = movesTo(numbersAhead(line, number), line.step, guarded);
    const latest = (moves * line.grace - LATE_SECONDS) / (1 + JITTER);
    return Math.max(floor, Math.min(ceiling, wait, latest));
  }

  // page.py has the same rule for the words it sends; the tests hold one against the other.
  function waitForm(range) {
    if (range === null) return ["unknown", 0, 0];
    const [low, high] = range;
    if (low >= 86400) return ["days", 0, 0];
    if (high <= 60) return ["soon", 0, 0];
    const [name, unit] = high <= 5400 ? ["minutes", 60] : ["hours", 3600];
    const step = name === "minutes" && high > 1200 ? 5 : 1;
    const from = Math.floor(low / unit / step) * step;
    const to = Math.ceil(high / unit / step) * step;
    if (from === 0) return ["up_to_" + name, from, to];
    return [(from === to ? "about_" : "") + name, from, to];
  }

  function visitorInLine(facts, place, world) {
    const number = place.number;
    const line = {
      serving: place.serving, issued: place.issued, ready: 0, step: 1, gap: null,
      admitted_per_minute: 0, poll: facts.poll, grace: 0, updated: 0,
    };
    const view = {
      state: place.state, position: place.position, isAbout: place.is_about,
      wait: place.wait_seconds, message: facts.message, notice: "",
    };
    let hasStatus = false;
    let failures = 0;
    let timer = null;
    let dueAt = Infinity;
    let askedAt = world.now();
    let notBefore = 0;
    let turn = 0;
    let isAsking = false;
    let isOver = false;

    const show = (changes) => world.show(Object.assign(view, changes));
    const jittered = (seconds) => seconds * (1 - JITTER + 2 * JITTER * world.random());

    function usualSeconds() {
      return hasStatus && number !== null ? pollSeconds(line, number) : place.poll_seconds;
    }

    function askIn(seconds) {
      world.cancel(timer);
      dueAt = world.now() + seconds;
      timer = world.after(seconds, ask);
    }

    function end(state) {
      isOver = true;
      world.cancel(timer);
      show({ state: state, notice: "" });
    }

    function enter(state) {
      end(state);
      world.enter(state);
    }

    function send(what, take) {
      const mine = ++turn;
      isAsking = true;
      askedAt = world.now();
      const settle = (answer) => {
        if (mine !== turn) return;
        isAsking = false;
        take(answer);
      };
      world.ask(what).then(settle, () => settle({ body: null, retryAfter: 0 }));
    }

    // A number above `issued` was given out in a moment that Redis lost: it has to be told.
    const mustCheckIn = () => number <= line.serving || number > line.issued;

    function ask() {
      dueAt = Infinity;
      // A page loaded ahead of time joins when somebody looks at it, not before.
      if (place.state === "prefetch" && world.isHidden()) return;
      if (number !== null && mustCheckIn()) send("check_in", takeCheckIn);
      else send("status", takeStatus);
    }

    // What was known stays on the page: an answer that did not come is no news about the line.
    function failed(answer, changes) {
      failures += 1;
      const { floor, ceiling } = line.poll;
      const backedOff = Math.min(ceiling, Math.max(usualSeconds(), floor * 2 ** failures));
      const pause = clamp(0, LONGEST_PAUSE, answer.retryAfter);
      notBefore = world.now() + pause;
      show(Object.assign({ notice: failures > 1 ? "retrying" : "" }, changes));
      const own = backedOff * (0.5 + world.random() / 2);
      askIn(Math.max(own, pause * (1 + JITTER * world.random())));
    }

    function succeeded(changes) {
      failures = 0;
      notBefore = 0;
      show(Object.assign({ notice: "" }, changes));
    }

    function takeStatus(answer) {
      const status = answer.body;
      if (!isStatus(status, facts.event)) return failed(answer, {});
      const message = status.message;
      if (status.state === "outage") return failed(answer, { state: "outage", message: message });
      // Only now that the site answers may a page without a number be reloaded: a reload into a
      // dead network ends in the browser's error page, which asks nobody any more.
      if (number === null) return enter(view.state);
      // Two caches may answer in turns, one with what was true a while ago.
      if (status.updated >= line.updated) Object.assign(line, status);
      hasStatus = true;
      if (mustCheckIn()) {
        succeeded({ message: message });
        return ask();
      }
      const isStill = ["hold", "paused", "closed"].includes(status.state);
      const position = positionOf(line, number);
      succeeded({
        state: isStill ? status.state : "waiting", position: position, isAbout: position > 1,
        wait: isStill ? null : waitOf(line, position), message: message,
      });
      askIn(jittered(pollSeconds(line, number)));
    }

    function takeCheckIn(answer) {
      const body = answer.body || {};
      switch (body.state) {
        case "admitted":
          return enter("admitted");
        case "gone":
          return enter(view.state);
        // A page that came here without a cookie and reloaded itself would take a new number each
        // time, for ever. So it takes a person to go on.
        case "no-ticket":
          return end("cookies");
        case "outage":
          return failed(answer, { state: "outage" });
        case "ready":
        case "waiting":
        case "hold":
          return takePlace(body);
        default:
          return failed(answer, {});
      }
    }

    function takePlace(body) {
      // Not our turn after all: back to the answer that is shared, so that asking in person
      // stays rare.
      if (body.state === "waiting") {
        const serving = isCount(body.serving) ? body.serving : line.serving;
        line.serving = Math.min(serving, number - 1);
        line.issued = Math.max(line.issued, number);
      }
      const position = isCount(body.position) ? Math.max(1, body.position) : view.position;
      succeeded({
        state: body.state, position: position, isAbout: body.state !== "ready" && position > 1,
        wait: body.state === "hold" ? null : waitOf(line, position) || view.wait,
        message: typeof body.message === "string" ? body.message : view.message,
      });
      askIn(jittered(isWithin(0.2, LONGEST_PAUSE, body.poll) ? body.poll : usualSeconds()));
    }

    // A phone that woke up, a tab brought to the front: now, but no more often than the floor and
    // never before Retry-After.
    function wake(spreadSeconds) {
      if (isOver || isAsking) return;
      const earliest = Math.max(world.now(), askedAt + line.poll.floor, notBefore);
      const at = earliest + (spreadSeconds || 0) * world.random();
      if (at < dueAt) askIn(at - world.now());
    }

    function leave() {
      if (isOver) return;
      world.cancel(timer);
      world.abort();
      send("leave", (answer) => {
        if (answer.body && answer.body.state === "left") return end("left");
        show({ notice: "leave_failed" });
        askIn(jittered(line.poll.floor));
      });
    }

    function start() {
      if (world.refusesCookies()) return end("cookies");
      show({});
      askIn(jittered(place.poll_seconds));
    }

    return { start: start, wake: wake, leave: leave };
  }

  // What is worth interrupting a screen reader for.
  function makesNews(view, last) {
    const hasHalved =
      view.position !== null && (last.position === null || view.position * 2 <= last.position);
    return view.state !== last.state || view.notice !== last.notice || hasHalved;
  }

  function inBrowser() {
    const data = JSON.parse(document.getElementById("admitgate").textContent);
    const { facts, words, place } = data;
    const ownTitle = document.title;
    const numbers = new Intl.NumberFormat(document.documentElement.lang);
    let spoken = { state: place.state, position: place.position, notice: "" };
    let shownState = place.state;
    let request = null;

    const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
    // A template of the site's own may leave any of these out.
    const each = (name, change) =>
      document.querySelectorAll(`[data-admitgate="${name}"]`).forEach(change);
    const setHidden = (name, isHidden) =>
      each(name, (element) => { element.hidden = isHidden; });
    const setText = (name, text) =>
      each(name, (element) => {
        if (element.textContent !== text) element.textContent = text;
      });

    function positionText(view) {
      const n = numbers.format(view.position);
      return view.isAbout ? fill(words.about, { n: n }) : n;
    }

    function waitText(view) {
      const [form, low, high] = waitForm(view.wait);
      return fill(words.wait[form], { low: numbers.format(low), high: numbers.format(high) });
    }

    function showState(state) {
      if (state === shownState) return;
      shownState = state;
      setText("heading", words.states[state].heading);
      setText("text", words.states[state].text);
      document.querySelectorAll("[data-state]").forEach((element) => {
        element.dataset.state = state;
      });
    }

    function showPlace(view) {
      setHidden("position_row", view.position === null);
      setHidden("wait_row", view.position === null);
      if (view.position === null) return;
      setText("position", positionText(view));
      setText("wait", waitText(view));
    }

    function showRow(name, text) {
      setText(name, text);
      setHidden(name, !text);
    }

    function showTitle(view) {
      const heading = words.states[view.state].heading;
      const event = facts.event.slice(0, 80);
      const title = view.state === place.state ? ownTitle
        : fill(words.title, { heading: heading, event: event });
      const isOver = ["admitted", "cookies", "left"].includes(view.state);
      document.title = view.position === null || isOver ? title
        : fill(words.title_with_position, { n: numbers.format(view.position), title: title });
    }

    function speak(view) {
      if (!makesNews(view, spoken)) return;
      spoken = Object.assign({}, view);
      const says = [fill(words.spoken_state, words.states[view.state])];
      if (view.notice) says.push(words[view.notice]);
      if (view.position !== null && ["waiting", "ready"].includes(view.state)) {
        says.push(fill(words.spoken_position, { position: positionText(view) }));
        says.push(fill(words.spoken_wait, { wait: waitText(view) }));
      }
      setText("spoken", says.join(" "));
    }

    function show(view) {
      showState(view.state);
      showPlace(view);
      setText("message", view.message);
      setHidden("message_row", !view.message);
      showRow("notice", view.notice && words[view.notice]);
      showRow("again", { cookies: words.again, left: words.rejoin }[view.state] || "");
      if (view.state === "left") each("again", (button) => button.focus());
      showTitle(view);
      speak(view);
    }

    // Where to is read off the address bar, or was checked by the waiting room. The origin stands in
    // front because a path like "//shop/x" alone would be another site.
    const again = () =>
      location.replace(location.origin + location.pathname + location.search);
    const enter = (state) =>
      state === "admitted" && place.enter ? location.replace(place.enter) : again();

    function retryAfter(response) {
      const value = response.headers.get("Retry-After") || "";
      const isDate = !/^\d+$/.test(value);
      return (isDate ? (Date.parse(value) - Date.now()) / 1000 : Number(value)) || 0;
    }

    // No `credentials` here: the browser's own rule sends cookies to this site and to no other.
    async function ask(what) {
      const mine = (request = new AbortController());
      const deadline = setTimeout(() => mine.abort(), REQUEST_SECONDS * 1000);
      const method = what === "status" ? {} : { method: "POST", cache: "no-store" };
      const headers = { Accept: "application/json" };
      try {
        const response = await fetch(
          facts.urls[what], Object.assign({ headers: headers, signal: mine.signal }, method));
        const body = await response.json().catch(() => null);
        return { body: body, retryAfter: retryAfter(response) };
      } finally {
        clearTimeout(deadline);
      }
    }

    const visitor = visitorInLine(facts, place, {
      ask: ask,
      abort: () => request && request.abort(),
      show: show,
      enter: enter,
      now: () => performance.now() / 1000,
      random: Math.random,
      after: (seconds, action) => setTimeout(action, seconds * 1000),
      cancel: (timer) => clearTimeout(timer),
      isHidden: () => document.hidden,
      refusesCookies: () => navigator.cookieEnabled === false,
    });
    document.addEventListener("visibilitychange", () => document.hidden || visitor.wake());
    // Only a page that comes back from the browser's memory: a new one has just been told all.
    addEventListener("pageshow", (event) => event.persisted && visitor.wake());
    // A network that comes back brings everybody behind it back in the same instant.
    addEventListener("online", () => visitor.wake(facts.poll.floor));
    each("leave", (form) => form.addEventListener("submit", (event) => {
      event.preventDefault();
      visitor.leave();
    }));
    each("again", (button) => button.addEventListener("click", again));
    visitor.start();
  }

  if (typeof module === "object" && module.exports) {
    module.exports = { isStatus, makesNews, movesTo, pollSeconds, positionOf, visitorInLine, waitForm };
  } else {
    inBrowser();
  }
})();
