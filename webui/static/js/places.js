// How far each entry of the browser's history was scrolled: who goes back finds the place again. The browser's own way
// comes too early, before there is anything to scroll.

const KEPT = "places";
const MOST = 50;
// What is drawn later than this has another place by now.
const PATIENCE_MS = 3000;

/** By the name of an entry, in px. @type {Map<string, number>} */
const tops = new Map(JSON.parse(sessionStorage.getItem(KEPT) ?? "[]"));
let entry = named();
let turn = 0;

history.scrollRestoration = "manual";
if (tops.has(entry)) addEventListener("load", () => scrolled(tops.get(entry) ?? 0), { once: true });
addEventListener("pagehide", () => {
  leaving();
  sessionStorage.setItem(KEPT, JSON.stringify([...tops].slice(-MOST)));
});
// Who moves the page himself is not taken elsewhere.
for (const event of ["wheel", "touchmove", "pointerdown", "keydown"]) addEventListener(event, () => (turn += 1), { capture: true, passive: true });

/** The name of the entry that is shown; one that has none gets one. */
function named() {
  const has = history.state?.entry;
  const name = has ?? `${Date.now()}.${Math.random()}`;
  if (!has) history.replaceState({ entry: name }, "");
  return name;
}

/** What is shown is about to be left. */
export function leaving() {
  tops.delete(entry); // the latest are kept
  tops.set(entry, scrollY);
}

/** Write an address into the history: as a new entry, or in the place of the one that is shown.
 *  @param {string} url @param {boolean} [replace] */
export function written(url, replace = false) {
  turn += 1;
  if (replace) history.replaceState(history.state, "", url);
  else history.pushState(null, "", url);
  entry = named();
}

/** Another entry is shown: as far as it was scrolled. */
export function returned() {
  entry = named();
  if (tops.has(entry)) scrolled(tops.get(entry) ?? 0);
}

/** Scroll as far as this once the page is long enough. @param {number} top */
function scrolled(top) {
  const mine = ++turn;
  const until = Date.now() + PATIENCE_MS;
  const look = () => {
    if (mine !== turn) return;
    const isLong = document.documentElement.scrollHeight - innerHeight >= top;
    if (isLong || Date.now() > until) scrollTo(0, top);
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}
