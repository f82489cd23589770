// Waits its turn politely before a gated address: `node wait.mjs https://shop.example/events/gala/checkout`.
//
// `enter` runs in Node (18 or newer) and in a page of the shop's own. What makes it polite: it asks the shared
// status, which costs the shop nothing, asks in person only when its number is called, never sooner than it was
// told, and never at the same moment as everybody else.

const OURS = "urn:problem-type:admitgate:";
const LONGEST_PAUSE = 300;

export class Closed extends Error {}

// A browser keeps cookies by itself. Node does not, and the place in line is in one.
const cookies = new Map();
const isBrowser = typeof document !== "undefined";

async function ask(url, options = {}) {
  const headers = { Accept: "application/json", ...options.headers };
  if (!isBrowser && cookies.size) headers.Cookie = [...cookies].map((pair) => pair.join("=")).join("; ");
  const signal = AbortSignal.timeout(10_000);
  const response = await fetch(url, { ...options, headers, signal });
  for (const cookie of isBrowser ? [] : response.headers.getSetCookie()) {
    const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie);
    if (value) cookies.set(name, value);
    else cookies.delete(name);
  }
  return response;
}

const json = (url, options) => ask(url, options).then((response) => response.json()).catch(() => null);

// So long, give or take a fifth: or all who wait would ask in the same moment.
function pause(seconds) {
  const spread = Math.min(LONGEST_PAUSE, Math.max(0.2, seconds)) * (0.8 + 0.4 * Math.random());
  return new Promise((resolve) => setTimeout(resolve, spread * 1000));
}

// A tenth of the expected wait, between the floor and the ceiling that the shop wants.
function untilNextPoll(line, number) {
  const { floor, ceiling, divisor } = line.poll;
  const expected = (number - line.serving) * 60 / (line.admitted_per_minute || 60);
  return Math.min(ceiling, Math.max(floor, expected / divisor));
}

// True in the end, by the answer that is the same for everybody. False after a draw: then another number
// counts, which the shop tells who asks for the page again.
async function isCalled(url, place) {
  const number = place.drawn_number ?? place.number;
  for (;;) {
    const line = await json(new URL(place.poll_url, url));
    if (line?.state === "closed") throw new Closed(line.message);
    if (line?.draw?.seed && place.drawn_number === undefined) return false;
    if (line && line.state !== "outage") {
      // Above `issued` is a number that was given out in a moment that was lost: it has to be told.
      if (number <= line.serving || number > line.issued) return true;
      await pause(untilNextPoll(line, number));
    } else {
      await pause(place.retry_after);
    }
  }
}

const bytesOf = (hex) => Uint8Array.from(hex.match(/../g), (byte) => parseInt(byte, 16));
const hexOf = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

// The proof of work that some shops ask for: the number whose hash begins as is said.
async function solved(challenge) {
  const { salt, nonce, keyPrefix, keyLength } = challenge.parameters;
  const block = new Uint8Array([...bytesOf(salt + nonce), 0, 0, 0, 0]);
  for (let counter = 0; ; counter += 1) {
    new DataView(block.buffer).setUint32(32, counter);
    const key = hexOf(new Uint8Array(await crypto.subtle.digest("SHA-256", block)));
    if (!key.startsWith(keyPrefix)) continue;
    const solution = { counter, derivedKey: key.slice(0, 2 * keyLength) };
    return btoa(JSON.stringify({ challenge, solution }));
  }
}

// Says "I am here" until there is room, or until it turns out that it is not our turn after all.
async function checkIn(url, place) {
  const headers = {};
  for (;;) {
    const answer = await json(new URL(place.check_in_url, url), { method: "POST", headers });
    if (answer?.state === "challenge") {
      headers["Admitgate-Proof"] = await solved(answer.challenge);
      answer.poll = 0;
    }
    if (["admitted", "gone", "no-ticket", "closed"].includes(answer?.state)) return answer.state;
    await pause(answer?.poll ?? place.retry_after);
    if (answer?.state === "waiting") return "waiting";
  }
}

// Until it is worth asking for the page again.
async function wait(url, place) {
  await pause(place.retry_after);
  for (let isWaiting = place.number !== null; isWaiting && await isCalled(url, place);) {
    isWaiting = await checkIn(url, place) === "waiting";
  }
}

// The response from behind the gate, once we are let in. Throws Closed when the sale is over.
export async function enter(url, onPlace = () => {}) {
  for (;;) {
    const response = await ask(url);
    const kind = response.headers.get("Content-Type") || "";
    if (!kind.startsWith("application/problem+json")) return response;
    const place = await response.clone().json();
    if (!String(place.type).startsWith(OURS)) return response;
    if (place.state === "closed") throw new Closed(place.message || place.title);
    onPlace(place);
    await wait(url, place);
  }
}

if (!isBrowser && process.argv[1]?.endsWith("wait.mjs")) {
  try {
    const told = (place) => console.error(`${place.title}: ${place.position ?? "no"} in line. ${place.message}`);
    const response = await enter(process.argv[2], told);
    process.stdout.write(await response.text());
    process.exitCode = response.ok ? 0 : 1;
  } catch (error) {
    if (!(error instanceof Closed)) throw error;
    console.error(`The line is closed. ${error.message}`);
    process.exitCode = 1;
  }
}
