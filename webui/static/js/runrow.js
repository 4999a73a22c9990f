// One row of the list of runs. Every value is a door: a click adds it to the query, Alt-click excludes it.
import { html, useMemo, useRef } from "./preact.js";
import { AdHoc, Args, Elapsed, Icon, JobName, Late, Time } from "./parts.js";
import { duration, elapsed, FINISHED, reason, shownState } from "./format.js";
import { term } from "./querytext.js";
import { useNow } from "./stream.js";

const FEW = 3;
const BAR_WIDE = 46;
// The usual time stands at this part of the bar, so that what takes longer is seen to.
const USUAL_AT = 0.7;

/** The median of how long good runs of each job took, of the rows at hand. @param {any[]} rows @returns {Map<string, number>} */
export function usualOf(rows) {
  const times = new Map();
  for (const run of rows) {
    if (!run || run.state !== "success" || typeof run.elapsed !== "number") continue;
    if (!times.has(run.job_id)) times.set(run.job_id, []);
    times.get(run.job_id).push(run.elapsed);
  }
  const usual = new Map();
  for (const [job, some] of times) if (some.length >= FEW) usual.set(job, some.sort((a, b) => a - b)[some.length >> 1]);
  return usual;
}

/** @param {any} of `pick`, `flip` and `toggle` may be new ones at each drawing: only the last ones are called */
export function RunRow({ line, index, columns, usual, q, toggle, here, picked, pick, flip, open }) {
  const { run, sub, others } = line;
  const act = useRef({ toggle, pick, flip });
  act.current = { toggle, pick, flip };
  // The same tree again is not looked at: a list scrolls by the rows that come, whatever ticks meanwhile.
  return useMemo(() => {
    const rest = Object.fromEntries(Object.entries(run.args).filter(([name]) => !columns.includes(name)));
    const state = shownState(run);
    const classes = [picked && "picked", here && "at", sub && "sub", run.left && "gone"].filter(Boolean).join(" ");
    const value = { act, q, here };
    const tab = here ? 0 : -1;
    return html`<tr class=${classes} aria-rowindex=${index + 1} aria-selected=${picked} data-run=${run.run_id} data-state=${run.state} tabindex=${tab}>
      <td class="hide-s"><input type="checkbox" class="check" tabindex=${tab} aria-label=${`Pick ${run.run_id}`} checked=${picked} onClick=${(event) => act.current.pick(run, event.shiftKey)} /></td>
      <td class="m-st"><${Value} ...${value} of=${`state:${state}`} className=${`state s-${state}`}><${Icon} state=${state} /><span>${state}</span><//></td>
      <td class="m-a j">
        <${AdHoc} of=${run} /> <${JobName} id=${run.job_id} href=${`/runs/${run.run_id}`} /> <${Args} args=${rest} />
        ${others > 1 && html` <button class="grp" tabindex=${tab} aria-expanded=${open} title=${`${others} runs of this instance`} onClick=${() => act.current.flip(run.run_id)}>${open ? "▾" : "▸"} ${others}</button>`}
      </td>
      ${columns.map(
        (name) => html`<td class="hide-m">${name in run.args ? html`<${Value} ...${value} of=${term(name, run.args[name], "=")}>${run.args[name]}<//>` : html`<span class="z">–</span>`}</td>`,
      )}
      <td class="m-b num"><${Time} at=${run.schedule_time} job=${run.job_id} tabindex=${here ? 0 : undefined} /></td>
      <td class="num"><${Late} run=${run} /></td>
      <td class="m-d num">${run.times.running
        ? html`<span class="el"><${Bar} run=${run} usual=${usual} /><${Elapsed} run=${run} /></span>`
        : html`<span class=${`only-s s-${state} c`}>${state}</span><span class="z hide-s">–</span>`}</td>
      <td class="hide-m">${run.agent ? html`<${Value} ...${value} of=${term("agent", run.agent)}>${run.agent}<//>` : html`<span class="z">–</span>`}</td>
      <td class="m-c cut"><${Why} run=${run} /></td>
      <td class="hide-xl cut">${run.labels.map((label) => html`<${Value} ...${value} of=${term("label", label)} className="lab">${label}<//> `)}</td>
      <td class="num"><a class="rid" tabindex=${tab} href=${`/runs/${run.run_id}`}>${run.run_id}</a></td>
    </tr>`;
  }, [run, index, columns, usual, q, here, picked, open, sub, others]);
}

function Why({ run }) {
  const why = reason(run, useNow()) || (run.rerun_of ? `rerun of ${run.rerun_of}` : "");
  return html`<span title=${why}>${why}</span>`;
}

/** A value that narrows the list. */
function Value({ of, act, q, here, className = "link", children }) {
  const click = (event) => {
    event.stopPropagation();
    act.current.toggle(of, { not: event.altKey, widen: event.ctrlKey || event.metaKey });
  };
  const on = q.split(" ").includes(of);
  return html`<button class=${`${className} v`} data-term=${of} tabindex=${here ? 0 : -1} title=${`click: ${on ? "any, not" : "only"} ${of} · Alt-click: without`} onClick=${click}>${children}</button>`;
}

/** How long it has run, against what is usual: the tick. */
function Bar({ run, usual }) {
  const now = useNow();
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
