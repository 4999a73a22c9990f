// Where we are: the URL is the truth, links do not reload the page.
import { useLayoutEffect, useState } from "./preact.js";

const watchers = new Set();

/** Go to a URL of this console. @param {string} url @param {{replace?: boolean}} [how] */
export function go(url, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", url);
  for (const watch of watchers) watch(here());
}

function here() {
  return location.pathname + location.search + location.hash;
}

addEventListener("popstate", () => {
  for (const watch of watchers) watch(here());
});

document.addEventListener("click", (event) => {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = /** @type {HTMLAnchorElement | null} */ (/** @type {HTMLElement} */ (event.target).closest("a[href]"));
  if (!link || link.target || link.origin !== location.origin || link.hasAttribute("download")) return;
  if (link.pathname.startsWith("/api/") || link.pathname.startsWith("/static/")) return;
  if (link.pathname === location.pathname && link.search === location.search && link.hash) return;
  event.preventDefault();
  go(link.pathname + link.search + link.hash);
  scrollTo(0, 0);
});

/** The current path and query. @returns {URL} */
export function useUrl() {
  const [, setPlace] = useState(here());
  useLayoutEffect(() => {
    watchers.add(setPlace);
    setPlace(here()); // it may have changed since the first drawing
    return () => watchers.delete(setPlace);
  }, []);
  return new URL(location.href);
}
