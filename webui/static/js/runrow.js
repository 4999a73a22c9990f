// One row of the list of runs. Every value is a door: a click adds it to the query, Alt-click excludes it.
import { html } from "./preact.js";
import { AdHoc, Args, Elapsed, Icon, JobName, Late, Time } from "./parts.js";
import { due, duration, elapsed, FINISHED, lateness, reason, shownState, when, whenFull } from "./format.js";
import { term } from "./querytext.js";
import { stream, useNow } from "./stream.js";

const BAR_WIDE = 46;
// The usual time stands at this part of the bar, so that what takes longer is seen to.
const USUAL_AT = 0.7;

/** A row. What a click on a part of it does is said by the part's data, and done by the table (`rowClicks`): a list
 *  scrolls by the rows that come, and each listener and each title less is time less. It is drawn again when anything
 *  that it is given differs. (To give the same element again instead would keep, by the list it was first in, all rows
 *  that ever were.)
 *  @this {any} @param {any} of `hour`, `utc`, `precision`: how an instant is written, which changes with the day and by settings */
export function RunRow({ run, sub, others, columns, usual, here, picked, open }) {
  this.shouldComponentUpdate = differs;
  const classes = [picked && "picked", here && "at", sub && "sub", run.left && "gone"].filter(Boolean).join(" ");
  const tab = here ? 0 : -1;
  const rest = Object.fromEntries(Object.entries(run.args).filter(([name]) => !columns.includes(name)));
  const state = shownState(run);
  // What is over stays as it is: nothing of it listens to the clock.
  const parts = FINISHED.has(run.state) ? STILL : TICKING;
  return html`<tr class=${classes} aria-selected=${picked} data-run=${run.run_id} data-state=${run.state} tabindex=${tab}>
    <td class="hide-s"><span class="pick-box" role="checkbox" aria-checked=${picked ? "true" : "false"} tabindex=${tab} aria-label=${`Pick ${run.run_id}`}></span></td>
    <td class="m-st"><span class=${`state s-${state} v`} role="button" tabindex=${tab} data-term=${`state:${state}`}><${Icon} state=${state} /><span>${state}</span></span></td>
    <td class="m-a j">
      ${run.ad_hoc && html`<${AdHoc} of=${run} /> `}<${JobName} id=${run.job_id} href=${`/runs/${run.run_id}`} /> <${Args} args=${rest} />
      ${others > 1 && html` <button class="grp" tabindex=${tab} aria-expanded=${open} title=${`${others} runs of this instance`}>${open ? "▾" : "▸"} ${others}</button>`}
    </td>
    ${columns.map((name) => html`<td class="hide-m">${name in run.args ? value(term(name, run.args[name], "="), run.args[name], tab) : none()}</td>`)}
    <td class="m-b num">${parts.time(run, here)}</td>
    <td class="num">${parts.late(run)}</td>
    <td class="m-d num">${run.times.running
      ? html`<span class="el">${parts.bar(run, usual)}${parts.elapsed(run)}</span>`
      : html`<span class=${`only-s s-${state} c`}>${state}</span><span class="z hide-s">–</span>`}</td>
    <td class="hide-m">${run.agent ? value(term("agent", run.agent), run.agent, tab) : none()}</td>
    <td class="m-c cut">${parts.why(run)}</td>
    <td class="hide-xl cut">${run.labels.map((label) => html`${value(term("label", label), label, tab, "lab")} `)}</td>
    <td class="num"><a class="rid" tabindex=${tab} href=${`/runs/${run.run_id}`}>${run.run_id}</a></td>
  </tr>`;
}

/** @this {any} @param {any} next */
function differs(next) {
  return Object.keys(next).some((name) => next[name] !== this.props[name]);
}

const none = () => html`<span class="z">–</span>`;

/** A value that narrows the list. */
function value(of, text, tab, className = "link") {
  return html`<span class=${`${className} v`} role="button" tabindex=${tab} data-term=${of}>${text}</span>`;
}

const TICKING = {
  time: (run, here) => html`<${Time} at=${run.schedule_time} job=${run.job_id} tabindex=${here ? 0 : undefined} />`,
  late: (run) => html`<${Late} run=${run} />`,
  bar: (run, usual) => html`<${Bar} run=${run} usual=${usual} />`,
  elapsed: (run) => html`<${Elapsed} run=${run} />`,
  why: (run) => html`<${Why} run=${run} />`,
};

const STILL = {
  time: (run, here) => {
    const now = stream.now();
    const ms = due(run);
    return html`<time datetime=${run.schedule_time} data-job=${run.job_id} tabindex=${here ? 0 : undefined} aria-label=${here ? whenFull(ms, now) : undefined}>${when(ms, now)}</time>`;
  },
  late: (run) => {
    const late = lateness(run, 0);
    return late ? html`<span class="late" title="began late">${duration(late)}</span>` : null;
  },
  bar: (run, usual) => drawnBar(run, usual, 0),
  elapsed: (run) => {
    const seconds = elapsed(run, 0);
    return seconds === null ? none() : html`<span>${duration(seconds)}</span>`;
  },
  why: (run) => said(run, 0),
};

function Why({ run }) {
  return said(run, useNow());
}

function said(run, now) {
  const why = reason(run, now) || (run.rerun_of ? `rerun of ${run.rerun_of}` : "");
  return why && html`<span title=${why}>${why}</span>`;
}

/** How long it has run, against what is usual: the tick. */
function Bar({ run, usual }) {
  return drawnBar(run, usual, useNow());
}

function drawnBar(run, usual, now) {
  if (!usual) return null;
  const took = elapsed(run, now) ?? 0;
  const unit = (BAR_WIDE * USUAL_AT) / usual;
  const long = Math.min(BAR_WIDE, Math.max(1, took * unit));
  const state = FINISHED.has(run.state) ? "skipped" : took > usual * 1.5 ? "late" : "running";
  return html`<svg viewBox=${`0 0 ${BAR_WIDE} 4`} role="img" aria-label=${`usually ${duration(usual)}`}>
    <path class=${`f-${state}`} d=${`M0 0h${long.toFixed(1)}v4h-${long.toFixed(1)}z`} />
    <path class="p50" d=${`M${(BAR_WIDE * USUAL_AT).toFixed(1)} 0v4`} />
  </svg>`;
}
