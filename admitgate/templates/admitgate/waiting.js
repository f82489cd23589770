// The whole story of a waiting page: asks "is it my turn?", goes in when it is, and tells `world` what it
// knows. It touches no browser: `face.js` gives it a clock, a network and a face, the tests others.

const LONGEST_PAUSE = 300;
const HIDDEN_SECONDS = 60;
const EARLY_SECONDS = 60;
const STALE_SECONDS = 60;
const MORE_SECONDS = 60;
const SLOWER_SECONDS = 180;
const SHORTEST_GRACE = 5;
const CACHED_SECONDS = 5;
const STILL = ["hold", "paused", "opens", "closed", "shared"];

function visitorInLine(facts, place, world) {
  const number = place.number;
  const line = {
    serving: place.serving, issued: place.issued, ready: 0, step: 1, gap: null,
    admitted_per_minute: 0, poll: facts.poll, grace: 0, updated: 0,
  };
  const view = {
    state: place.state, position: place.position, isAbout: place.is_about,
    wait: place.wait_seconds, isSlower: false, progress: null, secondsLeft: null,
    message: facts.message || facts.standing || "", notice: "", opensAt: place.opens_at || 0,
  };
  // Of one's numbers the one that counts: after a draw that which was drawn.
  let counting = number;
  let shownHash = "";
  let said = place.wait_seconds && place.wait_seconds[0] / 0.7;
  let saidAt = world.now();
  let slowerUntil = 0;
  let hasStatus = false;
  let failures = 0;
  let openAt = Infinity;
  let ticker = null;
  let timer = null;
  let dueAt = Infinity;
  let expectedAt = Infinity;
  let askedAt = world.now();
  let notBefore = 0;
  let turn = 0;
  let movedAt = world.now();
  let repeats = 0;
  let isAsking = false;
  let isOver = false;
  // Whoever loads the page when it is their turn has said that they are here.
  let hasAnswered = !facts.ask_first || place.state === "ready";
  let isLate = false;
  let goesAt = null;
  let hasMoreTime = false;

  const known = world.recall();
  const memory = known && known.number === number ? known : { number: number, start: 0, best: 0 };

  // A face that stumbles, over a template of the site's own or an odd browser, must not cost the place.
  function safely(act) {
    try {
      act();
    } catch (error) {
      console.error(error);
    }
  }

  function show(changes) {
    Object.assign(view, changes);
    safely(() => world.show(view));
  }

  const jittered = (seconds) => seconds * (1 - JITTER + 2 * JITTER * world.random());
  const messageOf = (body) => body.message || facts.standing || "";

  function usualSeconds() {
    if (!hasStatus || number === null) return place.poll_seconds;
    if (isUndrawn()) return line.poll.ceiling;
    return pollSeconds(line, counting, world.isHidden() ? HIDDEN_SECONDS : 0);
  }

  // Before a draw nobody has a place: nobody has to ask more often than others, nor may anybody ask less.
  const isUndrawn = () => !!line.draw && !line.draw.seed;

  // What was drawn is checked against the hash of before: against one that comes with the seed no check would fail.
  function takeDraw(draw) {
    line.draw = draw;
    if (isUndrawn()) shownHash = draw.hash;
    const drawn = drawnBy(draw, number);
    counting = countingBy(draw, number, drawn);
    view.draw = drawn || isUndrawn() ? Object.assign({}, draw, drawn, { hash: shownHash || draw.hash }) : null;
  }

  // By the event's own clock, as the visitor's may be an hour off. An answer that a cache kept for a moment tells of
  // a little more time than there is: it puts nothing off.
  function hearOfOpening(opensAt, clock) {
    const at = opensAt && clock ? world.now() + (opensAt - clock) / 1000 : Infinity;
    if (opensAt !== view.opensAt || at < openAt || at > openAt + CACHED_SECONDS) openAt = at;
    view.opensAt = opensAt;
    tick();
  }

  // Not with the rest of the face, which says when something was heard. Nobody sees a hidden tab's.
  function tick() {
    world.cancel(ticker);
    if (isOver || world.isHidden()) return;
    const remains = openAt - world.now();
    const left = Math.max(0, Math.ceil(remains));
    safely(() => world.showOpening(openAt === Infinity ? null : left));
    if (left > 0 && left < Infinity) ticker = world.after(remains - left + 1, tick);
  }

  function askIn(seconds) {
    world.cancel(timer);
    dueAt = world.now() + seconds;
    timer = world.after(seconds, ask);
  }

  // After an answer. Whoever asks much later than this was away: asleep, or without a network.
  function askOnTimeIn(seconds) {
    askIn(seconds);
    expectedAt = dueAt;
  }

  function end(state) {
    isOver = true;
    world.cancel(timer);
    show({ state: state, notice: "" });
  }

  // Without a place, or with one that is gone: the page itself is asked for again.
  function joinAgain() {
    end("joining");
    world.enter(false);
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
  const isCalled = () => counting <= line.serving;
  const mustCheckIn = () => (isCalled() && hasAnswered) || number > line.issued;

  function ask() {
    if (isOver || isAsking) return;
    isLate = world.now() - expectedAt > 2 * Math.max(line.grace, SHORTEST_GRACE);
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
    const notice = !world.isOnline() ? "offline" : failures > 1 && !changes.state ? "retrying" : "";
    show(Object.assign({ notice: notice }, changes));
    const own = backedOff * (0.5 + world.random() / 2);
    askIn(Math.max(own, pause * (1 + JITTER * world.random())));
  }

  function succeeded(changes) {
    failures = 0;
    notBefore = 0;
    show(Object.assign({ notice: "" }, changes));
  }

  // The other tabs of this browser have the same place: what one hears, all know.
  const tell = (what, answer) => {
    if (number !== null) world.tell({ number: number, what: what, body: answer.body });
  };

  function hear(news) {
    if (isOver || isAsking || number === null || !news || news.number !== number) return;
    const answer = { body: news.body, retryAfter: 0 };
    if (news.what === "leave") end("left");
    else if (news.what === "status") takeStatus(answer, true);
    else takeCheckIn(answer, true);
  }

  function waitFor(position) {
    const now = world.now();
    const next = smoothed(said, expectedSeconds(line, position), now - saidAt);
    said = next.seconds;
    saidAt = now;
    if (next.isSlower) slowerUntil = now + SLOWER_SECONDS;
    return { wait: rangeOf(said), isSlower: now < slowerUntil };
  }

  // Counted from the worst place ever had; people who come back to theirs don't take it away again.
  function progressAt(position) {
    memory.start = Math.max(memory.start, position);
    memory.best = Math.max(memory.best, (memory.start + 1 - position) / (memory.start + 1));
    world.remember(memory);
    return memory.best;
  }

  function whereAt(position, isAbout, isStill) {
    if (isStill) said = null;
    const where = { position: position, isAbout: isAbout, progress: progressAt(position) };
    return Object.assign(where, isStill ? { wait: null, isSlower: false } : waitFor(position));
  }

  // An answer that stays the same for so long is a file that nobody writes any more. (A single one may be what a
  // cache still had when a telephone woke up.)
  function isStale(status) {
    repeats = status.updated > line.updated ? 0 : repeats + 1;
    if (repeats === 0) movedAt = world.now();
    return repeats > 1 && world.now() - movedAt > STALE_SECONDS;
  }

  function takeStatus(answer, isHeard) {
    const status = answer.body;
    if (!isStatus(status, facts.event)) return isHeard || failed(answer, {});
    const message = messageOf(status);
    if (status.state === "outage" || isStale(status)) {
      return isHeard || failed(answer, { state: "outage", message: message });
    }
    if (status.updated > line.updated) hearOfOpening(status.opens_at || 0, status.clock || status.updated);
    // Two caches may answer in turns, one with what was true a while ago.
    if (status.updated >= line.updated) {
      Object.assign(line, status);
      takeDraw(status.draw);
    }
    if (number === null) return withoutNumber(status, message);
    if (!isHeard) tell("status", answer);
    hasStatus = true;
    if (mustCheckIn()) {
      succeeded({ message: message });
      return isHeard ? askOnTimeIn(jittered(line.poll.floor)) : ask();
    }
    const state = status.state === "early" ? "opens" : status.state;
    const isStill = STILL.includes(state);
    const position = positionOf(line, counting);
    succeeded(Object.assign({}, isUndrawn() ? nowhere : whereAt(position, position > 1, isStill), {
      state: isStill ? state : isCalled() ? "called" : "waiting", message: message,
    }));
    const seconds = jittered(usualSeconds());
    askOnTimeIn(isUndrawn() ? afterOpening(seconds, line.poll.ceiling) : seconds);
  }

  const nowhere = { position: null, progress: null, wait: null, isSlower: false };

  // Who would ask again after the opening does so at any moment of `spread` seconds from then on.
  function afterOpening(seconds, spread) {
    const left = openAt - world.now();
    return seconds < left ? seconds : Math.max(0, left) + spread * world.random();
  }

  // Only now that the site answers may a page without a number be reloaded: a reload into a dead
  // network ends in the browser's error page, which asks nobody any more. And not while nothing changed.
  function withoutNumber(status, message) {
    if (status.state !== place.state || status.state === "hold") return joinAgain();
    succeeded({ message: message });
    const seconds = jittered(Math.max(place.poll_seconds, facts.poll.ceiling));
    askIn(status.state === "early" ? afterOpening(seconds, EARLY_SECONDS) : seconds);
  }

  function takeCheckIn(answer, isHeard) {
    const body = answer.body || {};
    switch (body.state) {
      case "admitted":
        if (!isHeard) tell("check_in", answer);
        return admit(body);
      case "gone":
        return joinAgain();
      // A page that came here without a cookie and reloaded itself would take a new number each
      // time, for ever. So it takes a person to go on.
      case "no-ticket":
        return end("cookies");
      case "outage":
        return failed(answer, { state: "outage" });
      case "ready":
      case "missed":
      case "waiting":
      case "hold":
      case "paused":
      case "opens":
      case "early":
      case "shared":
      case "closed":
        if (!isHeard) tell("check_in", answer);
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
      line.serving = Math.min(serving, counting - 1);
      line.issued = Math.max(line.issued, number);
    }
    hearOfOpening(isCount(body.opens_at) ? body.opens_at : 0, body.clock);
    const isReady = body.state === "ready" || body.state === "missed";
    const position = isCount(body.position) ? Math.max(1, body.position) : view.position;
    const isNowhere = body.state === "shared" || isUndrawn() || position === null;
    const where = isNowhere ? nowhere : whereAt(position, !isReady && position > 1, STILL.includes(body.state));
    succeeded(Object.assign({}, where, {
      state: isReady && (isLate || view.state === "missed") ? "missed"
        : body.state === "early" ? "opens" : body.state,
      message: typeof body.message === "string" ? messageOf(body) : view.message,
    }));
    askOnTimeIn(jittered(isWithin(0.2, LONGEST_PAUSE, body.poll) ? body.poll : usualSeconds()));
  }

  // The slot must still be ours when we come to the door.
  const halfOf = (body) => (isWithin(0, 86400, body.seconds) ? body.seconds / 2 : MORE_SECONDS);

  // The slot is ours, and for a while it waits for us. Nobody needs a countdown that nobody sees.
  function admit(body) {
    isOver = true;
    world.cancel(timer);
    world.remember(null);
    Object.assign(view, { state: "admitted", notice: "", position: null, progress: 1 });
    goesAt = world.now() + Math.min(facts.enter_seconds || 0, halfOf(body));
    countDown();
  }

  function countDown() {
    const remains = goesAt - world.now();
    const left = Math.ceil(remains);
    const isUnseen = world.isHidden() && !hasMoreTime && !world.isAlerting();
    if (left <= 0 || isUnseen) return goIn();
    show({ secondsLeft: left });
    timer = world.after(remains - left + 1, countDown);
  }

  function goIn() {
    if (goesAt === null) return;
    goesAt = null;
    world.cancel(timer);
    show({ secondsLeft: null });
    world.enter(true);
  }

  // The button: goes in at once, or says "I'm here" where the site asks for that first.
  function enter() {
    if (goesAt !== null) return goIn();
    if (isOver || hasAnswered) return;
    hasAnswered = true;
    show({ state: "ready" });
    ask();
  }

  // Checking in again renews the slot. If that fails, the door is still the best place to be.
  function moreTime() {
    if (goesAt === null || isAsking) return;
    hasMoreTime = true;
    send("check_in", (answer) => {
      const body = answer.body || {};
      if (goesAt === null) return;
      if (body.state !== "admitted") return goIn();
      goesAt = world.now() + Math.min(MORE_SECONDS, halfOf(body));
      world.cancel(timer);
      countDown();
    });
  }

  // A phone that woke up, a tab brought to the front: now, but no more often than the floor and
  // never before Retry-After.
  function wake(spreadSeconds) {
    tick();
    if (isOver || isAsking) return;
    const earliest = Math.max(world.now(), askedAt + line.poll.floor, notBefore);
    const at = earliest + (spreadSeconds || 0) * world.random();
    if (at < dueAt || dueAt < world.now()) askIn(at - world.now());
  }

  // A tab that is put away: nobody will press a button in it.
  function hide() {
    world.cancel(ticker);
    if (goesAt !== null && !isAsking) {
      world.cancel(timer);
      countDown();
    }
  }

  function leave() {
    if (isOver) return;
    world.cancel(timer);
    world.abort();
    send("leave", (answer) => {
      if (answer.body && answer.body.state === "left") {
        tell("leave", answer);
        world.remember(null);
        return end("left");
      }
      show({ notice: "leave_failed" });
      askIn(jittered(line.poll.floor));
    });
  }

  function start() {
    if (world.refusesCookies()) return end("cookies");
    if (place.draw) takeDraw(place.draw);
    show(view.position === null ? {} : { progress: progressAt(view.position) });
    hearOfOpening(view.opensAt, place.clock);
    askIn(jittered(place.poll_seconds));
  }

  return {
    start: start, wake: wake, hide: hide, hear: hear, enter: enter, moreTime: moreTime, leave: leave,
  };
}

// What is worth interrupting a screen reader for.
function makesNews(view, last) {
  const hasHalved =
    view.position !== null && (last.position === null || view.position * 2 <= last.position);
  return view.state !== last.state || view.notice !== last.notice || view.message !== last.message || hasHalved;
}
