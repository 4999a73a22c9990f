// Queries that a person keeps: names for addresses of the list of runs, in this browser. The address itself is what one shares.
import { html, useLayoutEffect, useState } from "./preact.js";
import { ask } from "./dialog.js";
import { done, failed } from "./toast.js";

const MOST = 20;
const LONGEST = 40;
const watchers = new Set();

/** @returns {[string, string][]} each name with its address, in the order of names */
export function savedQueries() {
  try {
    const kept = JSON.parse(localStorage.getItem("queries") ?? "[]");
    return kept.filter((one) => Array.isArray(one) && one.length === 2 && String(one[1]).startsWith("/runs"));
  } catch (error) {
    return [];
  }
}

function keep(next) {
  localStorage.setItem("queries", JSON.stringify([...next].sort(([a], [b]) => a.localeCompare(b))));
  for (const watch of watchers) watch(savedQueries());
}

// Another window of this browser has saved one.
addEventListener("storage", (event) => {
  if (event.key === "queries") for (const watch of watchers) watch(savedQueries());
});

export function useSaved() {
  const [all, setAll] = useState(savedQueries);
  useLayoutEffect(() => {
    watchers.add(setAll);
    return () => watchers.delete(setAll);
  }, []);
  return all;
}

/** Keeps the query that is shown, or, when it is kept, forgets it. */
export function SaveQuery({ href }) {
  const all = useSaved();
  const here = all.find(([, path]) => path === href);
  const save = async () => {
    const text = "It stands in the rail and in the palette of this browser. To share it, send its address.";
    const found = await ask({ title: "Save this query", text, deed: "Save", fields: [{ name: "name", value: "" }] });
    const name = found?.name.trim().slice(0, LONGEST);
    if (!found) return;
    const others = savedQueries().filter(([one]) => one !== name);
    if (!name) failed("Could not save the query", { message: "it has no name" });
    else if (others.length >= MOST) failed("Could not save the query", { message: `${MOST} are kept already: forget one first` });
    else {
      keep([...others, [name, href]]);
      done(`Saved ${name}`);
    }
  };
  const forget = () => {
    keep(savedQueries().filter(([, path]) => path !== href));
    done(`Forgot ${here?.[0]}`, "", "", here && (() => keep([...savedQueries().filter(([name]) => name !== here[0]), here])));
  };
  if (!here && href === "/runs") return null;
  return here
    ? html`<button class="btn hide-s" title=${`${here[0]}: forget it`} onClick=${forget}>Forget</button>`
    : html`<button class="btn hide-s" onClick=${save}>Save…</button>`;
}

/** The saved ones, below the pages. */
export function SavedNav({ here }) {
  const all = useSaved();
  if (!all.length) return null;
  return html`<nav class="nav saved" aria-label="Saved queries">
    ${all.map(([name, path]) => html`<a key=${name} href=${path} title=${path} aria-current=${path === here ? "page" : undefined}><span class="cut">${name}</span></a>`)}
  </nav>`;
}
