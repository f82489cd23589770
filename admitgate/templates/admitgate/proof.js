// The proof that a check-in may demand, where the site has one: reckoned in slices of some milliseconds between
// which the page lives on, and before it is its turn, so that a slow telephone misses nothing by it. (What a hash
// is stands in sha256.js.)

const SLICE_MS = 8;
const NUMBERS_MOST = 2 ** 25;
const SAID_AFTER_MS = 1000;
const MOVES_AHEAD = 2;

const wordsOf = (hex) => hex.match(/.{8}/g).map((word) => parseInt(word, 16) | 0);
const hexOf = (words) => words.map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");

// A message to oneself: a timer would come once a second, or once a minute, where the tab isn't seen.
const breath = () => new Promise((resume) => {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => {
    port1.close();
    resume();
  };
  port2.postMessage(0);
});

// The number whose hash begins as was asked, in altcha's own form: a hash of one block, of salt, nonce, number and
// SHA-256's own padding. Another challenge than ours is solved by a function of the site's own page.
async function solved(challenge) {
  if (globalThis.admitgateProof) return globalThis.admitgateProof(challenge);
  const { salt, nonce, keyPrefix, keyLength } = challenge.parameters;
  const block = wordsOf(salt + nonce).concat(0, 1 << 31, 0, 0, 0, 0, 0, 288);
  const [first, second] = wordsOf(keyPrefix);
  for (let counter = 0; counter < NUMBERS_MOST; await breath()) {
    for (const until = performance.now() + SLICE_MS; performance.now() < until;) {
      for (const end = counter + 64; counter < end; counter += 1) {
        block[8] = counter;
        const key = hashOfBlock(block);
        if (key[0] !== first || key[1] !== second) continue;
        const solution = { counter: counter, derivedKey: hexOf(key).slice(0, 2 * keyLength) };
        return btoa(JSON.stringify({ challenge: challenge, solution: solution }));
      }
    }
  }
  throw new Error("no number solves this challenge");
}

// Asks as `ask` does, with the proof where it is demanded. To the page's story that is an answer that took longer.
function proving(ask, facts, place, say) {
  let proof = "";
  let turn = 0;

  async function prove(challenge) {
    const timer = setTimeout(() => say(true), SAID_AFTER_MS);
    try {
      proof = await solved(challenge);
    } finally {
      clearTimeout(timer);
      say(false);
    }
  }

  function isNear(line) {
    if (place.number === null || !isStatus(line, facts.event) || STILL.includes(line.state)) return false;
    if (line.draw && !line.draw.seed) return false;
    const drawn = drawnBy(line.draw, place.number);
    const number = drawn ? line.draw.first + drawn.place : place.number;
    return movesTo(numbersAhead(line, number), line.step, MOVES_AHEAD) < Infinity;
  }

  return async (what) => {
    const mine = (turn += 1);
    const answer = await ask(what, what === "check_in" ? proof : "");
    const isAhead = what === "status" && !proof && isNear(answer.body);
    const asked = isAhead ? await ask("check_in", "").catch(() => answer) : answer;
    if (!asked.body || asked.body.state !== "challenge") return answer;
    await prove(asked.body.challenge);
    if (mine !== turn) throw new Error("asked something else meanwhile");
    return isAhead ? answer : ask(what, proof);
  };
}
