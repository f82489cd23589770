// The proof that a check-in may demand: found in slices, ahead of one's turn, and shown with every check-in.
"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const test = require("node:test");
const { createHash } = require("node:crypto");

const folder = path.join(__dirname, "../../admitgate/templates/admitgate");
const names = ["sha256.js", "draw.js", "line.js", "waiting.js", "proof.js"];
const texts = names.map((name) => fs.readFileSync(path.join(folder, name), "utf8"));
const { proving, solved } = new Function(`"use strict";\n${texts.join("\n")}\nreturn { proving, solved };`)();

const { BORN, status } = require("./tab.js");

// As altcha makes them: the number's hash, of which the first half is told.
function challengeOf(number) {
  const parameters = { algorithm: "SHA-256", cost: 1, keyLength: 16, nonce: "0f".repeat(16), salt: "a5".repeat(16) };
  const message = Buffer.from(parameters.salt + parameters.nonce + number.toString(16).padStart(8, "0"), "hex");
  parameters.keyPrefix = createHash("sha256").update(message).digest("hex").slice(0, 16);
  return { parameters, signature: "of no interest to the page" };
}

const read = (proof) => JSON.parse(Buffer.from(proof, "base64"));
const asked = (number) => ({ body: { state: "challenge", challenge: challengeOf(number) }, retryAfter: 0 });
const ready = { body: { state: "ready" }, retryAfter: 0 };

// A site that asks for a proof until one is shown; `line` is what its status says.
function site(line, place = { number: BORN + 500 }) {
  const sent = [];
  const said = [];
  const ask = async (what, proof) => {
    sent.push([what, proof ? read(proof).solution.counter : null]);
    if (what === "status") return { body: status(line), retryAfter: 0 };
    return what === "leave" || proof ? ready : asked(sent.length);
  };
  return { sent, said, visit: proving(ask, { event: "gala" }, place, (is) => said.push(is)), ask };
}

for (const number of [0, 1, 63, 64, 65, 12345, 150000]) {
  test(`number ${number} is found`, async () => {
    const challenge = challengeOf(number);
    const { challenge: told, solution } = read(await solved(challenge));
    assert.deepEqual(told, challenge);
    assert.equal(solution.counter, number);
    assert.equal(solution.derivedKey.length, 32);
    assert.ok(solution.derivedKey.startsWith(challenge.parameters.keyPrefix));
  });
}

test("the page lives on meanwhile", async () => {
  let breaths = 0;
  let isDone = false;
  const breathe = () => {
    breaths += 1;
    if (!isDone) setImmediate(breathe);
  };
  setImmediate(breathe);
  await solved(challengeOf(300000));
  isDone = true;
  assert.ok(breaths > 3, `${breaths} breaths`);
});

test("another challenge is solved by the site's own function", async () => {
  globalThis.admitgateProof = async (challenge) => challenge.riddle.toUpperCase();
  try {
    assert.equal(await solved({ riddle: "needle" }), "NEEDLE");
  } finally {
    delete globalThis.admitgateProof;
  }
});

test("a check-in that is asked for a proof finds it and asks again", async () => {
  const { sent, visit } = site({});
  assert.equal((await visit("check_in")).body.state, "ready");
  assert.deepEqual(sent, [["check_in", null], ["check_in", 1]]);
});

test("the same proof is shown with every check-in, until there is another challenge", async () => {
  const { sent, visit } = site({});
  await visit("check_in");
  await visit("check_in");
  await visit("leave");
  assert.deepEqual(sent.slice(2), [["check_in", 1], ["leave", null]]);
});

test("whoever may be called soon has the proof by then", async () => {
  const { sent, visit } = site({ serving: BORN + 400, step: 100 });
  assert.equal((await visit("status")).body.serving, BORN + 400);
  await visit("status");
  await visit("check_in");
  assert.deepEqual(sent, [["status", null], ["check_in", null], ["status", null], ["check_in", 2]]);
});

for (const [why, line] of [
  ["is far behind", { serving: BORN, step: 16 }],
  ["waits for a line that is paused", { serving: BORN + 400, step: 100, state: "paused" }],
  ["waits for a draw", { serving: BORN + 400, step: 100, draw: { hash: "5eed" } }],
  ["hears nonsense", { serving: -1, step: 100 }],
]) {
  test(`nothing is reckoned ahead for who ${why}`, async () => {
    const { sent, visit } = site(line);
    await visit("status");
    assert.deepEqual(sent, [["status", null]]);
  });
}

test("nor for who has no number", async () => {
  const { sent, visit } = site({ serving: BORN + 400, step: 100 }, { number: null });
  await visit("status");
  assert.deepEqual(sent, [["status", null]]);
});

test("what counts after a draw is the number that was drawn", async () => {
  const draw = { hash: "5eed", seed: "5eed", first: BORN, last: BORN + 1000, hole: [0, 0] };
  const near = await Promise.all([...Array(100).keys()].map(async (i) => {
    const { sent, visit } = site({ serving: BORN, step: 20, draw }, { number: BORN + 1 + 10 * i });
    await visit("status");
    return sent.length > 1;
  }));
  const count = near.filter(Boolean).length;
  assert.ok(count > 3 && count < 20, `${count} of 100 are among the next hundred of a thousand`);
});

test("a site whose check-in is away still tells how the line stands", async () => {
  const visit = proving(async (what) => {
    if (what === "check_in") throw new Error("no network");
    return { body: status({ serving: BORN + 400, step: 100 }), retryAfter: 0 };
  }, { event: "gala" }, { number: BORN + 500 }, () => {});
  assert.equal((await visit("status")).body.serving, BORN + 400);
});

test("who leaves while it is reckoned is not checked in after that", async () => {
  const { sent, visit } = site({});
  const checkIn = visit("check_in");
  await visit("leave");
  await assert.rejects(checkIn, /meanwhile/);
  assert.deepEqual(sent, [["check_in", null], ["leave", null]]);
});

test("only a reckoning that takes long is spoken of, and only while it lasts", async () => {
  const { said, visit } = site({});
  await visit("check_in");
  assert.deepEqual(said, [false]);
});
