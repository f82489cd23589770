(function () { "use strict";
// The server makes every figure, chart and word. All that happens here: ask for the page again and put its
// living parts in place of ours, so that nobody's half-filled form or open table is touched.
const EVERY_MS = 3000, PATIENCE_MS = 10000;
const find = (name) => document.querySelector(`[data-console=${name}]`);
const still = find("still"), notice = find("notice");
let isStill = false, isAsking = false, isLost = false;

const clocks = {
  minute: new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" }),
  second: new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" }),
  full: new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" }),
};

function inOwnZone(root) {
  for (const time of root.querySelectorAll("time")) {
    time.textContent = clocks[time.dataset.clock].format(new Date(time.dateTime));
  }
}

function take(fresh) {
  inOwnZone(fresh);
  for (const part of document.querySelectorAll("[data-live]")) {
    const other = fresh.getElementById(part.id);
    if (other && other.innerHTML !== part.innerHTML && !part.contains(document.activeElement) && !part.matches(":hover:has(.cross)")) {
      part.replaceChildren(...other.childNodes);
    }
  }
  const token = fresh.querySelector("[name=form_token]");
  for (const field of document.querySelectorAll("[name=form_token]")) { if (token) field.value = token.value; }
}

function say(text) { if (notice.textContent !== text) notice.textContent = text; }

async function ask() {
  if (isStill || isAsking || document.hidden) return;
  isAsking = true;
  try {
    const answer = await fetch(location.href, { cache: "no-store", redirect: "error", signal: AbortSignal.timeout(PATIENCE_MS) });
    const text = await answer.text();
    if (answer.status === 404) { isStill = true; say("You may not operate any more: log in again, and load this page anew."); return; }
    if (!answer.ok) throw new Error(answer.status);
    take(new DOMParser().parseFromString(text, "text/html"));
    if (isLost) { isLost = false; say("The figures are live again."); }
  } catch {
    isLost = true;
    say("No answer from the server or its Redis. What you see is old; we keep asking.");
  } finally { isAsking = false; }
}

// The figures under the pointer: those of the table's row for that minute.
function readOut(event) {
  const chart = event.target.closest && event.target.closest(".chart"), plot = chart && chart.querySelector("svg");
  if (!plot) return;
  const box = plot.getBoundingClientRect(), rows = document.querySelectorAll("#table tbody tr");
  const nth = Math.floor((event.clientX - box.left) / box.width * rows.length);
  const row = rows[rows.length - 1 - Math.min(rows.length - 1, Math.max(0, nth))], names = chart.dataset.columns.split(",");
  const heads = [...document.querySelectorAll("#table thead th")].map((head) => head.textContent);
  const cells = names.map((name) => row.cells[heads.indexOf(name)].textContent);
  const readout = chart.querySelector("[data-console=readout]");
  readout.dataset.told = readout.dataset.told || readout.textContent;
  readout.textContent = `${row.cells[0].textContent}: ${cells.join(names[1] === "Capacity" ? " of " : " · ")}`;
  const cross = plot.querySelector(".cross") || plot.appendChild(document.createElementNS(plot.namespaceURI, "path"));
  cross.setAttribute("class", "cross");
  cross.setAttribute("d", `M${(Math.min(rows.length - 1, Math.max(0, nth)) + 0.5) * 600 / rows.length} 0V100`);
}

function readOutNoMore(chart) {
  const readout = chart.querySelector("[data-console=readout]"), cross = chart.querySelector(".cross");
  if (readout.dataset.told) readout.textContent = readout.dataset.told;
  if (cross) cross.remove();
}

if (location.search.includes("done=")) history.replaceState(null, "", location.pathname);
inOwnZone(document);
still.hidden = false;
still.addEventListener("click", () => {
  isStill = !isStill;
  still.setAttribute("aria-pressed", String(isStill));
  ask();
});
document.addEventListener("visibilitychange", ask);
const charts = document.getElementById("charts");
if (charts) {
  charts.addEventListener("pointermove", readOut);
  charts.addEventListener("pointerout", (event) => { const chart = event.target.closest(".chart"); if (chart && !chart.contains(event.relatedTarget)) readOutNoMore(chart); });
}
setInterval(ask, EVERY_MS);
})();
