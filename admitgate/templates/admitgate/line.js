// What the shared answer says of one number: is it sound, who is ahead, how long will it take, when to ask again.

const JITTER = 0.2;
const STEP_GROWTH = 4;
const LATE_SECONDS = 2;
const SMOOTH_SECONDS = 60;
const TOLERATED = 1.25;

const clamp = (low, high, value) => Math.min(high, Math.max(low, value));
const isCount = (value) => Number.isSafeInteger(value) && value >= 0;
const isWithin = (low, high, value) => Number.isFinite(value) && value >= low && value <= high;

// A floor near zero would turn everybody's page into a load generator.
const isPoll = (poll) =>
  !!poll && isWithin(0.2, 3600, poll.floor) && isWithin(poll.floor, 3600, poll.ceiling) &&
  isWithin(0.01, 1e6, poll.divisor) && isWithin(1, 100, poll.guarded);

const isGap = (gap) =>
  gap === null || gap === undefined ||
  (Array.isArray(gap) && gap.length === 2 && gap.every(isCount) && gap[0] <= gap[1]);

const isHash = (text) => typeof text === "string" && text.length > 0;
const isDraw = (draw) =>
  !draw || (isHash(draw.hash) && (draw.seed === undefined || (isHash(draw.seed) && isCount(draw.first) &&
    isWithin(0, 1e12, draw.last - draw.first) && !!draw.hole && isGap(draw.hole))));

// Whole or not at all: half an answer from a broken cache must not move anybody.
function isStatus(body, event) {
  return !!body && body.event === event &&
    typeof body.state === "string" && typeof body.message === "string" &&
    [body.serving, body.issued, body.ready, body.step, body.updated, body.opens_at || 0, body.clock || 0].every(isCount) &&
    body.serving <= body.issued && isWithin(0.1, 3600, body.grace) && isWithin(0, Infinity, body.admitted_per_minute) &&
    isPoll(body.poll) && isGap(body.gap) && isDraw(body.draw);
}

// The gap is crossed in one move: hardly anybody has a number in it.
function numbersAhead(line, number) {
  const gap = line.gap || [0, 0];
  const missing = Math.min(gap[1], number - 1) - Math.max(gap[0], line.serving);
  return number - line.serving - Math.max(0, missing);
}

const positionOf = (line, number) => Math.max(1, numbersAhead(line, number) + line.ready);

function expectedSeconds(line, position) {
  if (position === null || line.admitted_per_minute === 0) return null;
  return (position * 60) / line.admitted_per_minute;
}

// The same range as in places.py, so that the first figures a visitor sees agree with the next.
const rangeOf = (seconds) => seconds === null ? null : [Math.floor(seconds * 0.7), Math.floor(seconds * 1.5) + 1];

// What is said about the wait follows the line slowly. It climbs only where the line really is much
// slower than it was, and then `isSlower` says so.
function smoothed(said, seconds, elapsed) {
  if (said === null || seconds === null) return { seconds: seconds, isSlower: false };
  const due = Math.max(0, said - elapsed);
  const next = due + (seconds - due) * (1 - Math.exp(-elapsed / SMOOTH_SECONDS));
  const climbs = next > said;
  const isSlower = climbs && seconds > said * TOLERATED;
  return { seconds: climbs && !isSlower ? said : next, isSlower: isSlower };
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
// `leastSeconds` is for those who may not be called soon: a hidden tab has time.
function pollSeconds(line, number, leastSeconds = 0) {
  const { floor, ceiling, divisor, guarded } = line.poll;
  const perSecond = line.admitted_per_minute / 60 || 1;
  const wait = positionOf(line, number) / perSecond / divisor;
  const moves = movesTo(numbersAhead(line, number), line.step, guarded);
  const latest = (moves * line.grace - LATE_SECONDS) / (1 + JITTER);
  return Math.max(floor, Math.min(Math.max(leastSeconds, Math.min(ceiling, wait)), latest));
}

// figures.py has the same rule for the words it sends; the tests hold one against the other.
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

// What is left of less than a day, as on a clock that runs backwards.
const countdownOf = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 19).replace(/^0(0:0?)?/, "");
