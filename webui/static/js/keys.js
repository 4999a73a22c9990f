// The keys that work everywhere, and the list of all of them. All single keys are off while one types.
import { ask } from "./dialog.js";
import { html } from "./preact.js";
import { openPalette } from "./palette.js";
import { go } from "./router.js";
import { done } from "./toast.js";

const SECOND_KEY_MS = 1500;
const DENSITIES = ["", "compact", "roomy"];

/** @type {[string, [string, string][]][]} */
const KEYS = [
  ["Everywhere", [
    ["Ctrl K  or  :", "palette: go to anything, or do it"],
    ["g then s r j t a c o", "Sheet, Runs, Jobs, Timeline, Agents, Checks, Control"],
    ["/", "query or search"],
    ["Esc", "close, leave the field, drop the picks"],
    ["z t d", "zone, theme, density"],
    ["?", "this list"],
    ["Tab on a time, y", "all about it, copy it"],
  ]],
  ["In a list", [
    ["j k  or arrows", "next, previous row"],
    ["Enter o", "open the row, with Ctrl in a new tab"],
    ["x", "pick the row; Shift and arrows: more of them; Ctrl A: all that are here"],
    ["i !", "on a value: add it to the query, exclude it"],
    ["e", "group reruns, or open the row's group"],
    ["w", "why the run is as it is"],
    [".", "what can be done to the row"],
    ["y Y Alt-y", "copy its id, its address, its command"],
  ]],
  ["On a row or a run", [["r s h K", "rerun, stop, hold or release, kill"]]],
  ["On a job", [["n", "run it now"]]],
  ["In the tree of jobs", [["← →", "close, open the folder"]]],
  ["On paper", [["Ctrl P", "print what is shown; of a list up to 1,000 rows"]]],
];

/** Whether keys without Ctrl do anything: who speaks to the computer, or whose hand shakes, turns them off. */
function singleKeys() {
  return localStorage.getItem("keys") !== "off";
}

export function turnKeys() {
  if (singleKeys()) localStorage.setItem("keys", "off");
  else localStorage.removeItem("keys");
  done(`Single keys: ${singleKeys() ? "on" : "off"}`);
}

// Before all others who listen: a single key that is turned off reaches nobody.
addEventListener(
  "keydown",
  (event) => {
    if (!singleKeys() && event.key.length === 1 && event.key !== " " && !event.ctrlKey && !event.metaKey && !event.altKey) event.stopImmediatePropagation();
  },
  true,
);

async function showKeys() {
  const turned = await ask({
    title: "Keys",
    deed: singleKeys() ? "Turn single keys off" : "Turn single keys on",
    safe: "Close",
    text: html`<div class="keys" tabindex="0" role="region" aria-label="All keys">
      ${KEYS.map(([name, some]) => html`<h3>${name}</h3><dl class="kv">${some.map(([keys, what]) => html`<dt class="mono">${keys}</dt><dd>${what}</dd>`)}</dl>`)}
    </div>`,
  });
  if (turned !== null) turnKeys();
}

export function cycleTheme() {
  const order = ["system", "light", "dark"];
  const next = order[(order.indexOf(localStorage.getItem("theme") ?? "system") + 1) % 3];
  localStorage.setItem("theme", next);
  applyLook();
  done(`Theme: ${next}`);
}

function cycleDensity() {
  const next = DENSITIES[(DENSITIES.indexOf(localStorage.getItem("density") ?? "") + 1) % DENSITIES.length];
  localStorage.setItem("density", next);
  applyLook();
  dispatchEvent(new Event("resize")); // lists measure their rows anew
  done(`Rows: ${next || "normal"}`);
}

/** Theme and density as they were chosen, or as the address says. */
export function applyLook() {
  const theme = new URL(location.href).searchParams.get("theme") ?? localStorage.getItem("theme") ?? "system";
  const { dataset } = document.documentElement;
  if (theme === "system") delete dataset.theme;
  else dataset.theme = theme;
  if (localStorage.getItem("density")) dataset.density = localStorage.getItem("density");
  else delete dataset.density;
}

/** Listen to them. @param {Map<string, string>} pages of a letter after `g` @param {() => void} changeZone @returns {() => void} */
export function globalKeys(pages, changeZone) {
  let gone = 0;
  const acts = {
    "/": (event) => {
      event.preventDefault();
      document.getElementById("query")?.focus();
    },
    ":": (event) => {
      event.preventDefault();
      openPalette();
    },
    t: cycleTheme,
    d: cycleDensity,
    z: changeZone,
    "?": showKeys,
  };
  const onKey = (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
      event.preventDefault();
      if (!document.querySelector(".dialog")) openPalette();
      return;
    }
    const typing = event.target.closest?.("input:not([type=checkbox]), textarea, select, .dialog");
    if (event.key === "Escape" && typing) event.target.blur?.();
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (Date.now() - gone < SECOND_KEY_MS) {
      gone = 0;
      const page = pages.get(event.key);
      if (page) {
        event.stopImmediatePropagation();
        go(page);
        return;
      }
    }
    if (event.key === "g") gone = Date.now();
    else acts[event.key]?.(event);
  };
  addEventListener("keydown", onKey, true);
  return () => removeEventListener("keydown", onKey, true);
}

export { showKeys };
