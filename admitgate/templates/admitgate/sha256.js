// SHA-256, as browsers lend theirs to a page by https alone, and only later: for the draw, and for proofs.

const turned = (word, bits) => (word >>> bits) | (word << (32 - bits));

// What it starts from: the first bits behind the point in the square and cube roots of the primes.
const PRIMES = [];
for (let n = 2; PRIMES.length < 64; n += 1) if (PRIMES.every((prime) => n % prime)) PRIMES.push(n);
const [SQUARES, CUBES] = [2, 3].map((root) => PRIMES.map((prime) => (prime ** (1 / root) * 2 ** 32) | 0));
const schedule = new Int32Array(64);

// Of sixteen words, taken as they are: the hash of what comes before them goes on.
function hashOfBlock(block, before = SQUARES) {
  schedule.set(block);
  let [a, b, c, d, e, f, g, h] = before;
  for (let i = 0; i < 64; i += 1) {
    if (i > 15) {
      const p = schedule[i - 15];
      const q = schedule[i - 2];
      schedule[i] = schedule[i - 16] + schedule[i - 7]
        + (turned(p, 7) ^ turned(p, 18) ^ (p >>> 3)) + (turned(q, 17) ^ turned(q, 19) ^ (q >>> 10));
    }
    const s = (h + CUBES[i] + schedule[i] + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) + ((e & f) ^ (~e & g))) | 0;
    const t = (turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = (d + s) | 0;
    d = c;
    c = b;
    b = a;
    a = (s + t) | 0;
  }
  return [a, b, c, d, e, f, g, h].map((word, i) => (word + before[i]) | 0);
}

// Of plain ASCII, as eight words.
function sha256(text) {
  const words = new Array((((text.length + 8) >> 6) + 1) * 16).fill(0);
  for (let i = 0; i <= text.length; i += 1) words[i >> 2] |= (text.charCodeAt(i) || 128) << (24 - (i % 4) * 8);
  words[words.length - 1] = text.length * 8;
  let hash;
  for (let start = 0; start < words.length; start += 16) hash = hashOfBlock(words.slice(start, start + 16), hash);
  return hash;
}
