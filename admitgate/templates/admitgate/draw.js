// Who stands where after a draw: the same order as in draw.py, which says how it is reckoned. The tests hold one
// against the other.

const ROUNDS = 10;

function placeInDraw(seed, count, ordinal) {
  let size = 1;
  while (size * size < count) size *= 2;
  let value = ordinal - 1;
  do {
    let [left, right] = [Math.floor(value / size), value % size];
    for (let round = 0; round < ROUNDS; round += 1) {
      const mixed = sha256(`${seed}:${count}:${round}:${right}`)[7] & (size - 1);
      [left, right] = [right, left ^ mixed];
    }
    value = left * size + right;
  } while (value >= count);
  return value + 1;
}

// Which place of how many a number drew, and as which arrival; null before the draw, and for who takes no part.
function drawnBy(draw, number) {
  if (!draw || !draw.seed) return null;
  const { seed, first, last, hole: [from, to] } = draw;
  if (number <= first || number > last || (number > from && number <= to)) return null;
  const ordinalOf = (n) => n - first - Math.max(0, Math.min(to, n) - Math.max(from, first));
  const [count, ordinal] = [last, number].map(ordinalOf);
  return { count, ordinal, place: placeInDraw(seed, count, ordinal) };
}

// The number that counts. Who came in a moment that was lost drew none, and comes behind those who did.
function countingBy(draw, number, drawn) {
  if (drawn) return draw.first + drawn.place;
  if (!draw || !draw.seed || number <= draw.first || number > draw.last) return number;
  const { last, hole: [, to] } = draw;
  return number + last - Math.min(to, last);
}
