// Small parts every view is made of.
import { html, useLayoutEffect, useState } from "./preact.js";
import { due, duration, elapsed, knownZone, lateness, precise, shownState, shownZone, when, whenFull } from "./format.js";
import { jobPath } from "./api.js";
import { oncePainted } from "./pace.js";
import { logOut, useMe } from "./session.js";
import { useNow } from "./stream.js";

export function Icon({ state }) {
  return html`<svg class=${`st s-${state}`} aria-hidden="true"><use href=${`#i-${state}`} /></svg>`;
}

export function State({ run, children }) {
  const state = typeof run === "string" ? run : shownState(run);
  return html`<span class=${`state s-${state}`}><${Icon} state=${state} /><span>${state}${children && html` ${children}`}</span></span>`;
}

/** Names and args are of any script: one that runs from right to left does not take its neighbours along. */
export function JobName({ id, href }) {
  const cut = id.lastIndexOf("/") + 1;
  const name = html`${cut > 0 && html`<span class="dir">${id.slice(0, cut)}</span>`}<bdi>${id.slice(cut)}</bdi>`;
  return href === null ? html`<span class="job">${name}</span>` : html`<a class="job" href=${href ?? `/job/${jobPath(id)}`}>${name}</a>`;
}

export function Args({ args }) {
  const names = Object.keys(args);
  if (!names.length) return null;
  return html`<span class="arg">${names.map((name) => html`<i>${name}=</i><bdi>${args[name]}</bdi> `)}</span>`;
}

/** The mark of a run, or a job, that no job file holds. In a list it stands first, where nothing cuts it off. */
export function AdHoc({ of }) {
  return of.ad_hoc ? html`<span class="adhoc">ad hoc</span>` : null;
}

/** An instant; the card of it says all the rest (timecard.js). `job`: whose zone is the run's own. */
export function Time({ at, full = false, job, tabindex }) {
  const now = useNow();
  if (!at) return html`<span class="z">–</span>`;
  const ms = Date.parse(at);
  return html`<time datetime=${at} data-job=${job} tabindex=${tabindex} aria-label=${tabindex === undefined ? undefined : whenFull(ms, now)}>${full ? precise(ms) : when(ms, now)}</time>`;
}

/** The name of the shown zone, once all else is painted: nothing waits for it. */
export function ZoneName() {
  const [, tell] = useState("");
  useLayoutEffect(() => (knownZone() ? undefined : oncePainted(() => tell(shownZone()))), []);
  return knownZone();
}

export function Elapsed({ run }) {
  const now = useNow();
  const seconds = elapsed(run, now);
  return seconds === null ? html`<span class="z">–</span>` : html`<span class="ticking">${duration(seconds)}</span>`;
}

export function Late({ run }) {
  const now = useNow();
  const late = lateness(run, now);
  return late ? html`<span class="late" title="began, or is, late">${duration(late)}</span>` : null;
}

export function InTime({ at }) {
  const now = useNow();
  const ms = Date.parse(at) - now;
  return html`<span class="ticking">${ms > 0 ? `in ${duration(ms / 1000)}` : "now"}</span>`;
}

export function Panel({ title, sub, end, children, className = "" }) {
  return html`<section class=${`panel ${className}`}>
    <header><h2>${title}</h2>${sub && html`<span class="sub">${sub}</span>`}${end && html`<div class="end">${end}</div>`}</header>
    ${children}
  </section>`;
}

export function Ticks({ runs }) {
  const shown = runs.slice(0, 30).reverse();
  const tall = { failure: 16, error: 16, lost: 16, running: 12, starting: 12, stopping: 12, waiting: 9, success: 8, skipped: 4, scheduled: 5 };
  const colour = { starting: "running", stopping: "running" };
  const paths = {};
  shown.forEach((run, index) => {
    const x = 150 - (shown.length - index) * 5;
    const h = tall[run.state] ?? 8;
    const key = colour[run.state] ?? run.state;
    paths[key] = `${paths[key] ?? ""}M${x} ${17 - h}h3.6v${h}h-3.6z`;
  });
  const bad = shown.filter((run) => ["failure", "error", "lost"].includes(run.state)).length;
  return html`<svg class="hist" viewBox="0 0 150 18" role="img" aria-label=${`last ${shown.length} runs, ${bad} in trouble`}>
    ${Object.entries(paths).map(([state, d]) => html`<path class=${`f-${state}`} d=${d} />`)}
  </svg>`;
}

const TITLES = { 0: "The server does not answer", 400: "This is not understood", 403: "This is not for you", 404: "This is not here" };

/** The error of a view, in place of its content: the server's words, and what one may do. `children`: ways on. */
export function Trouble({ error, again, children = undefined }) {
  const id = error.body?.request_id;
  return html`<div class="panel trouble" role="alert">
    <h1>${TITLES[error.status] ?? "This could not be read"}</h1>
    <p>${error.status ? `${error.status}: ` : ""}${error.message}</p>
    ${id && html`<p class="faint small">request ${id}</p>`}
    ${children}
    ${error.status === 403 && html`<${Elsewhere} />`}
    ${again && error.status !== 404 && error.status !== 403 && html`<p class="mends"><button class="btn" onClick=${again}>Try again</button></p>`}
  </div>`;
}

/** Ways on from what one may not see. */
function Elsewhere() {
  const me = useMe();
  return html`<p class="mends"><a class="btn" href="/">Call sheet</a> ${me?.how === "session" && html`<button class="btn" onClick=${logOut}>Log in as somebody else</button>`}</p>`;
}

export function byDue(a, b) {
  return due(a) - due(b);
}
