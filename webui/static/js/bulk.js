// What is picked of a list, and what can be done to all of it.
import { html } from "./preact.js";
import { count, shownState } from "./format.js";

export function Bulk({ picks, setPicks }) {
  if (!picks.size) return null;
  const states = {};
  for (const run of picks.values()) states[shownState(run)] = (states[shownState(run)] ?? 0) + 1;
  return html`<div class="bulk" role="toolbar" aria-label="Do to picked runs">
    <b>${count(picks.size)} picked</b><span class="x">${Object.entries(states).map(([state, n]) => `${count(n)} ${state}`).join(", ")}</span>
    <button class="btn small" aria-label="Drop the picks" onClick=${() => setPicks(new Map())}>✕</button>
  </div>`;
}
