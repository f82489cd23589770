// The story's clock, network and face in a browser.

const REQUEST_SECONDS = 10;
const DAY_SECONDS = 86400;

function inBrowser() {
  const { facts, words, place } = JSON.parse(document.getElementById("admitgate").textContent);
  const ownTitle = document.title;
  // Arabic has digits of its own, which some browsers take and the server doesn't.
  const language = document.documentElement.lang + "-u-nu-latn";
  const numbers = new Intl.NumberFormat(language);
  const plurals = new Intl.PluralRules(language);
  const clock = new Intl.DateTimeFormat(language, { timeStyle: "short" });
  const exactClock = new Intl.DateTimeFormat(language, { timeStyle: "medium" });
  const calendar = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
  // Times are the server's: the browser's own clock may be an hour off.
  const behind = place.now - Date.now();
  const loadedAt = Date.now();
  const now = () => Date.now() + behind;
  const key = "admitgate:" + facts.event;
  let spoken = { state: place.state, position: place.position, notice: "", message: facts.message || facts.standing };
  let shownState = place.state;
  let isAlarmed = false;
  let request = null;
  let audio = null;
  let channel = null;

  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const counted = (name, n, values) =>
    fill(words[name][plurals.select(n)] || words[name].other, Object.assign({ n: numbers.format(n) }, values));
  // A template of the site's own may leave any of these out.
  const each = (name, change) =>
    document.querySelectorAll(`[data-admitgate="${name}"]`).forEach(change);
  const setHidden = (name, isHidden) =>
    each(name, (element) => { element.hidden = isHidden; });
  const setText = (name, text) =>
    each(name, (element) => {
      if (element.textContent !== text) element.textContent = text;
    });
  const ownText = (name) => {
    const [element] = document.querySelectorAll(`[data-admitgate="${name}"]`);
    return element ? element.textContent : "";
  };
  // What only the server says, and the page says again after a while without an answer.
  const ownWords = { heading: ownText("heading"), text: ownText("text") };
  words.states[place.state] = words.states[place.state] || ownWords;
  const onClick = (name, act) => each(name, (button) => button.addEventListener("click", act));

  function showRow(name, text) {
    setText(name, text || "");
    setHidden(name, !text);
  }

  function positionText(view) {
    const n = numbers.format(view.position);
    return view.isAbout ? fill(words.about, { n: n }) : n;
  }

  function aheadText(view) {
    const ahead = view.position - 1;
    return ahead === 0 ? words.first : counted(view.isAbout ? "ahead_about" : "ahead", ahead);
  }

  function waitText(view) {
    const [form, low, high] = waitForm(view.wait);
    if (words["wait_" + form]) return words["wait_" + form];
    return counted(form, high, { low: numbers.format(low), high: numbers.format(high) });
  }

  // At what time that is, unless it is so far off that a time would promise too much.
  function atText(view) {
    if (view.wait === null || view.wait[1] <= 60 || view.wait[0] > 43200 || !clock.formatRange) return "";
    const [from, to] = view.wait.map((seconds) => now() + seconds * 1000);
    return clock.formatRange(from, to);
  }

  function waitedText() {
    if (place.waited_seconds === null) return "";
    const minutes = Math.floor((place.waited_seconds * 1000 + Date.now() - loadedAt) / 60000);
    if (minutes < 1) return words.waited_soon;
    return minutes < 120 ? counted("waited_minutes", minutes) : counted("waited_hours", Math.floor(minutes / 60));
  }

  // A page that hears nothing says that first; what it knows of the line stays below.
  const stateOf = (view) => (words.states[view.notice] ? view.notice : view.state);

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
    setHidden("wait_row", view.position === null || view.wait === null && STILL.includes(view.state));
    setHidden("progress", view.progress === null);
    each("progress", (bar) => { bar.value = Math.round((view.progress || 0) * 100); });
    showRow("slower", view.isSlower && words.wait_slower);
    setHidden("opens_row", !view.opensAt);
    setText("opens", calendar.format(view.opensAt));
    showDraw(view.draw);
    showRow("waited", waitedText());
    if (view.position === null) return;
    setText("position", positionText(view));
    setText("ahead", aheadText(view));
    setText("wait", waitText(view));
    if (view.notice === "") showRow("at", atText(view));
  }

  // Once it is time, everybody hears of it within a poll.
  function showOpening(left) {
    const days = Math.round(left / DAY_SECONDS);
    showRow("opens_in", left === null ? ""
      : left === 0 ? words.states.joining.text
      : left < DAY_SECONDS ? countdownOf(left)
      : new Intl.RelativeTimeFormat(language).format(days, "day"));
  }

  // With what it takes to reckon it again, as a command that does so.
  function showDraw(draw) {
    setHidden("draw_row", !draw);
    if (!draw) return;
    const { hash, seed, count, ordinal } = draw;
    setHidden("draw_soon", !!seed);
    setHidden("drawn", !seed);
    setText("draw_check", seed
      ? `admitgate verify --seed ${seed} --count ${count} --ordinal ${ordinal} --hash ${hash}` : "SHA-256: " + hash);
    if (!seed) return;
    each("drawn", (element) => {
      element.textContent = fill(
        element.dataset.text, { n: numbers.format(draw.place), people: numbers.format(count) });
    });
  }

  function showEntrance(view) {
    const isEntering = view.secondsLeft !== null;
    showRow("countdown", isEntering && counted("countdown", view.secondsLeft));
    setHidden("enter", !isEntering && view.state !== "called");
    setHidden("more_time", !isEntering);
  }

  function showTitle(view, state) {
    const isTurn = ["admitted", "called"].includes(state);
    const title = state === place.state ? ownTitle
      : fill(words.title, { heading: words.states[state].heading, event: facts.event.slice(0, 80) });
    const isOver = isTurn || ["cookies", "left", "closed", "joining"].includes(state);
    document.title = isTurn ? "● " + title
      : view.position === null || isOver ? title
      : fill(words.title_with_position, { n: numbers.format(view.position), title: title });
    if (isTurn && !isAlarmed) alarm();
    isAlarmed = isTurn;
  }

  function alarm() {
    document.querySelectorAll("link[rel=icon]").forEach((icon) => {
      icon.href = icon.href.replace(/fill='%23\w+'/, "fill='%23c2410c'");
    });
    if (!isAlerting()) return;
    chime();
    try {
      new Notification(words.states.admitted.heading, { body: facts.event, tag: key });
    } catch {
      // Some telephones have no notifications of a page's own.
    }
  }

  const isAlerting = () => audio !== null && audio.state === "running";

  function chime() {
    for (const [start, pitch] of [[0, 660], [0.2, 880], [0.4, 1100]]) {
      const tone = audio.createOscillator();
      const volume = audio.createGain();
      volume.gain.value = 0.15;
      tone.frequency.value = pitch;
      tone.connect(volume).connect(audio.destination);
      tone.start(audio.currentTime + start);
      tone.stop(audio.currentTime + start + 0.15);
    }
  }

  // Only by the visitor's own hand; they hear at once what it will sound like.
  function toggleAlert() {
    if (isAlerting()) audio.suspend();
    else {
      audio = audio || new AudioContext();
      audio.resume().then(chime);
      if (window.Notification) Notification.requestPermission();
    }
    const isOn = this.getAttribute("aria-pressed") !== "true";
    this.setAttribute("aria-pressed", String(isOn));
  }

  function speak(view, state) {
    const news = Object.assign({}, view, { state: state });
    if (!makesNews(news, spoken)) return;
    const says = [fill(words.spoken_state, words.states[state])];
    if (view.secondsLeft !== null) says.push(counted("countdown", view.secondsLeft));
    if (view.notice === "leave_failed") says.push(words.leave_failed);
    if (view.position !== null && ["waiting", "ready", "missed"].includes(state)) {
      says.push(fill(words.spoken_position, { position: positionText(view) }));
      says.push(fill(words.spoken_wait, { wait: waitText(view) }));
    }
    if (view.message && view.message !== spoken.message) says.push(view.message);
    spoken = news;
    setText("spoken", says.join(" "));
  }

  function show(view) {
    const state = stateOf(view);
    showState(state);
    showPlace(view);
    showEntrance(view);
    setText("message", view.message);
    setHidden("message_row", !view.message);
    showRow("notice", view.notice === "leave_failed" && words.leave_failed);
    showRow("again", { cookies: words.again, left: words.rejoin }[state]);
    if (state === "left") each("again", (button) => button.focus());
    if (view.notice === "" && view.state !== "outage") setText("updated", exactClock.format(now()));
    showTitle(view, state);
    speak(view, state);
  }

  // Where to is read off the address bar, or was checked by the waiting room. The origin stands in
  // front because a path like "//shop/x" alone would be another site. Always by GET, whatever was sent.
  const again = () =>
    location.replace(location.origin + location.pathname + location.search);
  const enter = (isAdmitted) =>
    isAdmitted && place.enter ? location.replace(place.enter) : again();

  function retryAfter(response) {
    const value = response.headers.get("Retry-After") || "";
    const isDate = !/^\d+$/.test(value);
    return (isDate ? (Date.parse(value) - now()) / 1000 : Number(value)) || 0;
  }

  // No `credentials` here: the browser's own rule sends cookies to this site and to no other.
  async function ask(what, proof) {
    const mine = (request = new AbortController());
    const deadline = setTimeout(() => mine.abort(), REQUEST_SECONDS * 1000);
    const method = what === "status" ? {} : { method: "POST", cache: "no-store" };
    const headers = { Accept: "application/json" };
    if (proof) headers["Admitgate-Proof"] = proof;
    try {
      const response = await fetch(
        facts.urls[what], Object.assign({ headers: headers, signal: mine.signal }, method));
      const body = await response.json().catch(() => null);
      return { body: body, retryAfter: retryAfter(response) };
    } finally {
      clearTimeout(deadline);
    }
  }

  // Storage may be forbidden or full: then the page knows a little less after a reload.
  function recall() {
    try {
      return JSON.parse(localStorage.getItem(key));
    } catch {
      return null;
    }
  }

  function remember(memory) {
    try {
      if (memory) localStorage.setItem(key, JSON.stringify(memory));
      else localStorage.removeItem(key);
    } catch {
      // As above.
    }
  }

  const visitor = visitorInLine(facts, place, {
    ask: facts.demands_proof ? proving(ask, facts, place, (is) => setHidden("proof", !is)) : ask,
    abort: () => request && request.abort(),
    show: show,
    showOpening: showOpening,
    enter: enter,
    tell: (news) => channel && channel.postMessage(news),
    recall: recall,
    remember: remember,
    now: () => performance.now() / 1000,
    random: Math.random,
    after: (seconds, action) => setTimeout(action, seconds * 1000),
    cancel: (timer) => clearTimeout(timer),
    isHidden: () => document.hidden,
    isOnline: () => navigator.onLine !== false,
    isAlerting: isAlerting,
    refusesCookies: () => navigator.cookieEnabled === false,
  });

  // Closed while the page is away: an open one would keep it out of the browser's memory of pages.
  function openChannel() {
    if (!window.BroadcastChannel) return;
    channel = new BroadcastChannel(key);
    channel.onmessage = (event) => visitor.hear(event.data);
  }

  document.addEventListener("visibilitychange", () => document.hidden ? visitor.hide() : visitor.wake());
  addEventListener("pagehide", () => channel && channel.close());
  // Only a page that comes back from the browser's memory: a new one has just been told all.
  addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    openChannel();
    visitor.wake();
  });
  // A network that comes back brings everybody behind it back in the same instant.
  addEventListener("online", () => visitor.wake(facts.poll.floor));
  each("leave", (form) => form.addEventListener("submit", (event) => {
    event.preventDefault();
    visitor.leave();
  }));
  onClick("again", again);
  onClick("enter", visitor.enter);
  onClick("more_time", visitor.moreTime);
  onClick("alert", toggleAlert);
  setHidden("alert", !window.AudioContext);
  openChannel();
  visitor.start();
}
