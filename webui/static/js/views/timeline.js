// Timeline: runs that were, are and are to come, by job, on one axis with one now.
import { useTable } from "../astable.js";
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../preact.js";
import { Icon, Trouble } from "../parts.js";
import { jobPath, query as asQuery } from "../api.js";
import { clock, count, dayName, duration, inZone, shownZone } from "../format.js";
import { useWidth } from "../daylanes.js";
import { DRAWN, labelsOf, LANE, laneShapes, rowsOf, TOP } from "../gantt.js";
import { gridOf } from "../grid.js";
import { Coming, PlanViews, useKeptGet } from "../plan_parts.js";
import { QueryBox } from "../querybox.js";
import { go, here, useUrl } from "../router.js";
import { useNow } from "../stream.js";
import { useRefreshed } from "../views_common.js";

const REREAD_MS = 3000;
const HOUR_MS = 3600e3;
const SPANS = { "2h": ["2 h", 2], "6h": ["6 h", 6], "12h": ["12 h", 12], day: ["day", 24], week: ["week", 168] };
// How much of the span lies behind now.
const PAST = 0.45;
const LEAST_MS = 60e3;
const MOST_MS = 35 * 24 * HOUR_MS;
const STEP_MS = 60e3;
const GRID_PX = 46;

/** The span an address means: a named one, or a length such as `90m`. */
function lengthOf(span) {
  if (span in SPANS) return SPANS[span][1] * HOUR_MS;
  const minutes = /^(\d{1,6})m$/.exec(span);
  return minutes ? Math.min(MOST_MS, Math.max(LEAST_MS, Number(minutes[1]) * 60e3)) : 12 * HOUR_MS;
}

export function TimelineView() {
  const url = useUrl();
  const now = useNow();
  const q = url.searchParams.get("q") ?? "";
  const span = url.searchParams.get("span") ?? "12h";
  const asked = url.searchParams.get("from");
  const long = lengthOf(span);
  const step = Math.floor(now / STEP_MS) * STEP_MS;
  const fixed = asked ? Date.parse(asked) : NaN;
  const from = Number.isNaN(fixed) ? step - long * PAST : fixed;
  const { value, error, again } = useKeptGet(`/api/v2/timeline${asQuery({ q, from: new Date(from).toISOString(), to: new Date(from + long).toISOString() })}`);
  useRefreshed(again, REREAD_MS);
  const set = (changes, replace = false) => {
    const next = here();
    for (const [name, text] of Object.entries(changes)) {
      if (text) next.searchParams.set(name, text);
      else next.searchParams.delete(name);
    }
    go(next.pathname + next.search, { replace });
  };
  const move = (ms, length = long, replace = false) => set({ from: new Date(Math.round(ms)).toISOString(), span: length === long ? span : `${Math.max(1, Math.round(length / 60e3))}m` }, replace);
  useLayoutEffect(() => {
    const onKey = (event) => {
      if (event.target.closest("input, textarea, select, .dialog") || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "n") set({ from: "" });
      else if (event.key === "[") move(from - long / 2);
      else if (event.key === "]") move(from + long / 2);
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  });
  const { button, table } = useTable("Timeline", ["due", "job", "args", "state", "began", "took", "finish by", "run"], () => runRows(value?.jobs ?? [], now));
  const runs = value ? value.jobs.reduce((sum, lane) => sum + lane.runs.length, 0) : 0;
  return html`<div class="whole">
    <div class="top">
      <h1 class="sr">Timeline</h1>
      <${PlanViews} at="/timeline" q=${q} />
      <${QueryBox} q=${q} set=${(text, replace) => set({ q: text }, replace)} error=${error} live=${`${count(runs)} runs`} />
      <div class="seg hide-s" role="group" aria-label="Span">${Object.entries(SPANS).map(([name, [words]]) => html`<button key=${name} aria-pressed=${span === name ? "true" : "false"} onClick=${() => set({ span: name })}>${words}</button>`)}</div>
      <button class="btn" aria-label="Before" onClick=${() => move(from - long / 2)}>‹</button><button class="btn" onClick=${() => set({ from: "" })}>Now</button><button class="btn" aria-label="After" onClick=${() => move(from + long / 2)}>›</button>
    </div>
    ${error && !value
      ? html`<${Trouble} error=${error} again=${again} />`
      : value &&
        (value.jobs.length === 0
          ? html`<div class="panel empty">No runs here${q && html` with <code>${q}</code>`}. <button class="btn small" onClick=${() => set({ from: "" })}>Now</button></div>`
          : (table ? html`<div class="panel">${table}</div>` : html`<${Gantt} jobs=${value.jobs} view=${{ from, to: from + long }} now=${now} move=${move} />`))}
    ${(value || error) && html`<${Legend} end=${value?.jobs.length ? button : null} complete=${value?.complete !== false} /><${Coming} q=${q} />`}
  </div>`;
}

function Gantt({ jobs, view: span, now, move }) {
  const [box, width] = useWidth(1100);
  const view = { ...span, width: Math.max(width, 300), labels: labelsOf(width) };
  const { rows, height } = useMemo(() => rowsOf(jobs), [jobs]);
  const lanes = rows.filter((row) => row.kind === "lane").map((row) => ({ ...row, shapes: laneShapes(row, view, now) }));
  const [over, setOver] = useState(null);
  const drag = useRef(null);
  const [brush, setBrush] = useState(null);
  const svg = useRef(null);
  const x = (ms) => view.labels + ((ms - view.from) / (view.to - view.from)) * (view.width - view.labels - 6);
  const msAt = (px) => view.from + ((px - view.labels) / (view.width - view.labels - 6)) * (view.to - view.from);
  const pointOf = (event) => {
    const rect = svg.current.getBoundingClientRect();
    return [((event.clientX - rect.left) / rect.width) * view.width, ((event.clientY - rect.top) / rect.height) * height];
  };
  const found = (event) => {
    const [px, py] = pointOf(event);
    const lane = lanes.find((one) => py >= one.y && py < one.y + LANE);
    const hit = lane && px > view.labels ? [...lane.shapes.hits].reverse().find((one) => px >= one.from && px <= one.to) : null;
    return hit ? { lane, run: hit.run, px } : null;
  };
  useEffect(() => {
    // Wheel: sideways in time; with Ctrl closer at the pointer. Not passive, so that the page stays.
    const onWheel = (event) => {
      const [px] = pointOf(event);
      const long = view.to - view.from;
      if (event.ctrlKey) {
        event.preventDefault();
        const next = Math.min(MOST_MS, Math.max(LEAST_MS, long * (event.deltaY > 0 ? 1.25 : 0.8)));
        const at = msAt(px);
        move(at - ((at - view.from) / long) * next, next, true);
      } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        event.preventDefault();
        move(view.from + ((event.deltaX || event.deltaY) / view.width) * long, long, true);
      }
    };
    const node = svg.current;
    node.addEventListener("wheel", onWheel, { passive: false });
    return () => node.removeEventListener("wheel", onWheel);
  });
  const onPointerDown = (event) => {
    const [px] = pointOf(event);
    if (px > view.labels) drag.current = px;
  };
  const onPointerMove = (event) => {
    const [px] = pointOf(event);
    if (drag.current !== null && Math.abs(px - drag.current) > 6) setBrush([Math.min(px, drag.current), Math.max(px, drag.current)]);
    else setOver(found(event));
  };
  const onPointerUp = (event) => {
    if (brush && brush[1] - brush[0] > 6) move(msAt(brush[0]), msAt(brush[1]) - msAt(brush[0]));
    else {
      const hit = found(event);
      if (hit?.run.run_id) go(`/runs/${hit.run.run_id}`);
    }
    drag.current = null;
    setBrush(null);
  };
  const { at, step } = gridOf(view.from, view.to, Math.min(14, Math.max(2, (view.width - view.labels) / GRID_PX)), 60);
  const merged = mergedOf(lanes);
  const isHere = now > view.from && now < view.to;
  return html`<div class="panel gp timeline" tabindex="0" role="region" aria-label="Timeline" ref=${box}>
    <svg ref=${svg} class="gantt" width=${view.width} height=${height} viewBox=${`0 0 ${view.width} ${height}`} role="group" aria-label=${spoken(jobs, view)} onPointerDown=${onPointerDown} onPointerMove=${onPointerMove} onPointerUp=${onPointerUp} onPointerLeave=${() => setOver(null)}>
      <path class="grid-l" d=${at.map((ms) => `M${x(ms).toFixed(1)} 28V${height}`).join("")} />
      <path class="grid-l" d=${`M0 ${TOP}H${view.width}${rows.filter((row, index) => row.kind === "folder" && index > 0).map((row) => `M0 ${row.y - 3}H${view.width}`).join("")}`} />
      ${at.map((ms) => (!isHere || Math.abs(x(ms) + 14 - x(now)) > 44) && x(ms) < view.width - 30 && html`<text class="lbl" x=${x(ms) + 3} y="25">${step >= 12 * HOUR_MS ? dayName(ms).replace(/^(\w{3})\w* (\d+) (\w{3})\w*$/, "$1 $2 $3") : clock(ms).slice(0, 5)}</text>`)}
      ${rows.map((row) => (row.kind === "folder" ? html`<text class="lbl-1" x="10" y=${row.y + 12}>${row.name}</text>` : html`<text class="lbl-2 lname" x="22" y=${row.y + 12} data-lane=${row.lane.job_id} onClick=${() => go(`/job/${jobPath(row.lane.job_id)}`)}>${cut(row.name, Math.floor((view.labels - 28) / 6))}<title>${row.lane.job_id}</title></text>`))}
      ${DRAWN.map((state) => merged.paths[state] && html`<path class=${`f-${state}`} d=${merged.paths[state]} />`)}
      <path class="fc" d=${merged.forecast} /><path class="fc-w f-none" d=${merged.whiskers} /><path class="gs-wait" d=${merged.waits} /><path class="f-late" d=${merged.late} />
      ${lanes.flatMap((lane) => lane.shapes.deadlines.map((one) => html`<path class="p50" d=${`M${one.x.toFixed(1)} ${one.y - 7}v14`}><title>finish by ${clock(one.run.finish_by)}</title></path>`))}
      ${over && html`<${Needs} over=${over} lanes=${lanes} />`}
      ${brush && html`<rect class="brushed" x=${brush[0]} y="28" width=${brush[1] - brush[0]} height=${height - 28} />`}
      ${isHere && html`<path class="now-l" d=${`M${x(now).toFixed(1)} 18V${height}`} /><rect class="now-tag" x=${x(now) - 27} y="2" width="54" height="16" rx="3" /><text class="now-txt lbl-mid" x=${x(now)} y="14">${clock(now)}</text>`}
    </svg>
    <p class="over small" aria-hidden="true">${over ? html`<${Over} over=${over} now=${now} />` : html`<span class="faint">Point at a run; drag to come closer; Ctrl and the wheel zoom.</span>`}</p>
  </div>`;
}

/** The shapes of all lanes, one path of each kind. */
function mergedOf(lanes) {
  const all = { paths: {}, forecast: "", whiskers: "", waits: "", late: "" };
  for (const { shapes } of lanes) {
    for (const [state, d] of Object.entries(shapes.paths)) all.paths[state] = (all.paths[state] ?? "") + d;
    for (const kind of ["forecast", "whiskers", "waits", "late"]) all[kind] += shapes[kind];
  }
  return all;
}

/** Lines from what the run pointed at needs, and to what needs it. */
function Needs({ over, lanes }) {
  const same = (run, jobId, [needed, args]) => jobId === needed && JSON.stringify(sorted(run.args ?? {})) === JSON.stringify(sorted(args));
  const spots = lanes.flatMap((lane) => lane.shapes.hits.map((hit) => ({ ...hit, lane })));
  const mine = spots.find((spot) => spot.run === over.run) ?? spots.find((spot) => spot.run.run_id && spot.run.run_id === over.run.run_id);
  if (!mine) return null;
  const before = (over.run.needs ?? []).flatMap((need) => spots.filter((spot) => same(spot.run, spot.lane.lane.job_id, need)).slice(-1));
  const after = spots.filter((spot) => (spot.run.needs ?? []).some((need) => same(over.run, over.lane.lane.job_id, need)));
  const arrow = (from, to) => `M${from.to.toFixed(1)} ${from.lane.y + LANE / 2}L${to.from.toFixed(1)} ${to.lane.y + LANE / 2}`;
  return html`<path class="line-x hot" d=${[...before.map((spot) => arrow(spot, mine)), ...after.map((spot) => arrow(mine, spot))].join("")} />
    ${after.concat(before.length ? [mine] : []).map((spot) => html`<circle cx=${spot.from} cy=${spot.lane.y + LANE / 2} r="2.5" />`)}`;
}

function sorted(args) {
  return Object.fromEntries(Object.entries(args).sort(([a], [b]) => a.localeCompare(b)));
}

function Over({ over, now }) {
  const { run, lane } = over;
  const args = Object.entries(run.args ?? {}).map(([name, value]) => `${name}=${value}`);
  const took = run.start && (run.end ?? now) > run.start ? `, ${duration(((run.end ?? now) - run.start) / 1000)}` : "";
  const { usual } = lane.lane;
  return html`<span class=${`state s-${run.state}`}><${Icon} state=${run.state} /><span>${run.state}</span></span> <b>${lane.lane.job_id}</b> <span class="dim">${args.join(" ")}</span> due ${clock(run.due)}${took}${usual ? html` <span class="faint">usually ${duration(usual.p50)}, nine in ten within ${duration(usual.p90)}</span>` : ""} <span class="faint">${run.run_id ?? "not written yet"}${run.finish_by ? ` · finish by ${clock(run.finish_by)}` : ""}</span>`;
}

/** The runs of all lanes as they are due. */
function runRows(jobs, now) {
  const zone = shownZone();
  const at = (ms) => (ms ? inZone(ms, zone) : "–");
  const took = (run) => (run.start ? duration(((run.end ?? now) - run.start) / 1000) : "–");
  const args = (run) => Object.entries(run.args ?? {}).map(([name, value]) => `${name}=${value}`).join(" ");
  return jobs
    .flatMap((lane) => lane.runs.map((run) => ({ lane, run })))
    .sort((a, b) => a.run.due - b.run.due)
    .map(({ lane, run }) => [at(run.due), html`<a href=${`/job/${jobPath(lane.job_id)}`}>${lane.job_id}</a>`, args(run), run.state, at(run.start), took(run), at(run.finish_by), run.run_id ? html`<a href=${`/runs/${run.run_id}`}>${run.run_id}</a>` : "–"]);
}

function Legend({ complete, end }) {
  const key = (name, mark) => html`<span><svg class="k" viewBox="0 0 18 10" aria-hidden="true">${mark}</svg>${name}</span>`;
  return html`<div class="legend legend-row">
    ${key("success", html`<rect class="f-success" y="1" width="18" height="8" />`)}${key("failure, error", html`<rect class="f-failure" width="18" height="10" />`)}${key("running", html`<rect class="f-running" width="18" height="10" />`)}${key("late", html`<path class="f-late" d="M0 0h2v10h-2zM0 3.5h18v3h-18z" />`)}${key("expected, half end by here", html`<rect class="fc" x=".5" y="1" width="17" height="8" />`)}${key("nine in ten", html`<path class="fc-w" d="M0 5h17M17 2v6" />`)}${key("waiting", html`<path class="gs-wait" d="M0 5h18" />`)}
    <span class="faint">likely ends from the last runs of each job${complete ? "" : " · only the newest 4,000 runs are shown: narrow the query or the span"}</span>
    <span class="grow"></span>${end}
  </div>`;
}

function spoken(jobs, view) {
  const counts = {};
  for (const lane of jobs) for (const run of lane.runs) counts[run.state] = (counts[run.state] ?? 0) + 1;
  const said = Object.entries(counts).map(([state, n]) => `${count(n)} ${state}`);
  return `Runs of ${count(jobs.length)} jobs from ${clock(view.from)} to ${clock(view.to)}: ${said.join(", ")}`;
}

function cut(text, most) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}
