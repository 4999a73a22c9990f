// Where we are: the URL is the truth, links do not reload the page. A view that is still to be loaded is waited for:
// until it is here, what was shown before stays.
import { useLayoutEffect, useState } from "./preact.js";
import { leaving, returned, written } from "./places.js";
import { opening } from "./views.js";

const watchers = new Set();
/** What waits to be told that a view is on its way. @type {Set<(url: string) => void>} */
const waiting = new Set();
let place = address();
let turns = 0;
let isTurning = false;

/** Go to a URL of this console. `replace`: an afterthought of the view that is shown; it is dropped when that view is
 *  about to be left. @param {string} url @param {{replace?: boolean}} [how] */
export function go(url, { replace = false } = {}) {
  if (replace && isTurning) return;
  const isOther = new URL(url, location.href).pathname !== location.pathname;
  turn(url, () => {
    written(url, replace);
    if (isOther) scrollTo(0, 0);
  });
}

function turn(url, commit) {
  const mine = ++turns;
  const is = (on) => {
    isTurning = on;
    document.documentElement.toggleAttribute("data-turning", on);
    for (const tell of waiting) tell(on ? url : "");
  };
  const arrive = () => {
    if (mine !== turns) return; // somebody has gone elsewhere meanwhile
    if (isTurning) is(false);
    leaving();
    commit();
    place = address();
    for (const watch of watchers) watch(place);
  };
  const coming = opening(url);
  if (!coming) return arrive();
  is(true);
  return coming.then(arrive);
}

function address() {
  return location.pathname + location.search + location.hash;
}

/** The address of what is shown. While another view is on its way the browser's own may be that one's already. */
export function here() {
  return new URL(place, location.origin);
}

addEventListener("popstate", () => turn(address(), returned));

document.addEventListener("click", (event) => {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = /** @type {HTMLAnchorElement | null} */ (/** @type {HTMLElement} */ (event.target).closest("a[href]"));
  if (!link || link.target || link.origin !== location.origin || link.hasAttribute("download")) return;
  if (link.pathname.startsWith("/api/") || link.pathname.startsWith("/static/")) return;
  if (link.pathname === location.pathname && link.search === location.search && link.hash) return;
  event.preventDefault();
  const url = link.pathname + link.search + link.hash;
  turn(url, () => {
    written(url);
    scrollTo(0, 0);
  });
});

/** The path and query of what is shown. @returns {URL} */
export function useUrl() {
  const [, setPlace] = useState(place);
  useLayoutEffect(() => {
    watchers.add(setPlace);
    setPlace(place); // it may have changed since the first drawing
    return () => watchers.delete(setPlace);
  }, []);
  return here();
}

/** Where one is about to be; empty while nothing is waited for. @returns {string} */
export function useTurning() {
  const [url, setUrl] = useState("");
  useLayoutEffect(() => {
    waiting.add(setUrl);
    return () => waiting.delete(setUrl);
  }, []);
  return url;
}
