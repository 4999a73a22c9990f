// The call sheet: what is expected, running, late, failed and held on a day, and what needs a person.
import { html, useEffect, useState } from "../preact.js";
import { useTable } from "../astable.js";
import { AdHoc, Args, Elapsed, Icon, InTime, JobName, Late, Panel, Time, Trouble, ZoneName, byDue } from "../parts.js";
import { query as asQuery } from "../api.js";
import { clock, count, dayOf, dayOfYear, due, duration, elapsed, inUtc, lateness } from "../format.js";
import { Histogram, hourly, Hours, Lane, useWidth } from "../daylanes.js";
import { NeedsAPerson } from "../needs.js";
import { useComing, useRuns } from "../runlist.js";
import { go, useUrl } from "../router.js";
import { stream, useNow } from "../stream.js";
import { useGet, useRefreshed } from "../views_common.js";

// What is under way, or held, is read whole unless there is very much of it.
const BUSY_PAGE = 1000;
// So many of what needs a person can be looked at here, of what went wrong.
const UNSOLVED = 100;
const REREAD_MS = 3000;
const LISTED = 20;
// So many calendars are named, of those a day is in and of the others; the rest where one points at it.
const CALENDARS = 4;
const BY = { folder: "Folder", label: "Label", owner: "Owner", agent: "Agent" };
const NOBODY = { folder: "no folder", label: "no label", owner: "no owner", agent: "no agent yet" };

export function SheetView() {
  const url = useUrl();
  const now = useNow();
  const named = /^\/day\/(\d{4}-\d{2}-\d{2})$/.exec(url.pathname)?.[1];
  const today = dayOf(now);
  const day = named ? dayNamed(named) : today;
  const isToday = day.since === today.since;
  const by = url.searchParams.get("by") in BY ? url.searchParams.get("by") : "folder";
  const folded = useGet(`/api/v2/day${asQuery({ from: day.since, to: day.until, by, unsolved: UNSOLVED })}`);
  useRefreshed(folded.again, REREAD_MS);
  const live = useRuns({}, { states: "waiting,starting,running,stopping", limit: BUSY_PAGE });
  const coming = useComing({});
  const kept = useRuns({ q: "held:yes" }, { limit: BUSY_PAGE });
  const findings = useFindings();
  useEffect(() => {
    document.title = `Call sheet, ${dayOfYear(Date.parse(day.since))} · callsheet`;
  }, [day.since]);
  const error = folded.error ?? live.error;
  if (error && !folded.value) return html`<${Trouble} error=${error} again=${folded.again} />`;
  // What its backfill holds waits for its turn, and for nobody.
  const held = isToday ? kept.runs.filter((run) => run.held && !run.awaits_turn).sort(byDue) : [];
  const late = isToday ? [...live.runs, ...coming.runs].filter((run) => !run.held && !run.times.running && lateness(run, now)) : [];
  // What is not known yet has nothing below it, that nothing moves away from who reads it or is about to click.
  const sheet = folded.value;
  const known = !isToday || (live.counts && kept.counts);
  const below = sheet && (known || error);
  const rows = !sheet || !known ? [] : [...sheet.unsolved.runs, ...byInstance(late.sort(byDue)), ...held.map((run) => ({ run, times: 1 }))];
  const unread = sheet ? sheet.unsolved.count - sheet.unsolved.runs.length : 0;
  return html`<div class="sheet">
    <${Head} day=${day} by=${by} isToday=${isToday} />
    ${sheet && html`<${Totals} sheet=${sheet} span=${day} next=${isToday ? coming.runs[0] : null} late=${late} now=${now} />`}
    ${sheet && html`<${NeedsAPerson} rows=${rows} unread=${unread} all=${runsOf(day, "state:failure,error,lost")} findings=${isToday ? findings : []} now=${now} loading=${!known} />`}
    ${below && html`<${DayTable} sheet=${sheet} by=${by} now=${now} span=${day} />`}
    ${below &&
    isToday &&
    html`<div class="cols-2 sec">
      <${Running} runs=${live.runs} usual=${sheet.usual} now=${now} />
      <${Coming} runs=${coming.runs} left=${sheet.all.counts.scheduled} />
    </div>`}
    <p class="print-only small dim">Printed ${dayOfYear(now)} ${clock(now)} <${ZoneName} />. ${sheet && accounted(sheet)}</p>
  </div>`;
}

/** The day of a date such as `2026-11-24` in the shown zone. */
function dayNamed(date) {
  return dayOf(Date.parse(inUtc() ? `${date}T12:00Z` : `${date}T12:00`));
}

function dateOf(ms) {
  const at = new Date(ms);
  const parts = inUtc() ? [at.getUTCFullYear(), at.getUTCMonth() + 1, at.getUTCDate()] : [at.getFullYear(), at.getMonth() + 1, at.getDate()];
  return parts.map((n) => String(n).padStart(2, "0")).join("-");
}

function useFindings() {
  const [found, setFound] = useState([]);
  useEffect(() => stream.follow({ topic: "checks" }, (message) => message.checks && setFound(message.checks.findings)), []);
  return found;
}

/** The week of a day, and which calendars it is in; those that do not reach so far are not told of. */
function InCalendars({ date }) {
  const { value } = useGet(`/api/v2/calendars${asQuery({ date })}`);
  const within = (is) => (value?.calendars ?? []).filter((one) => one.contains === is);
  const names = (some) => {
    const more = some.slice(CALENDARS);
    return html`${some.slice(0, CALENDARS).map((one, place) => html`${place > 0 && ", "}<b title=${one.source}>${one.name}</b>`)}${more.length > 0 && html`<span title=${more.map((one) => one.name).join(", ")}> and ${count(more.length)} more</span>`}`;
  };
  const [inside, outside] = [within(true), within(false)];
  return html`<span class="dim small hide-m" data-calendars>${value && html`week ${value.week}${inside.length > 0 && html` · in ${names(inside)}`}${outside.length > 0 && html` · not in ${names(outside)}`}`}</span>`;
}

function Head({ day, by, isToday }) {
  const middle = Date.parse(day.since) + 12 * 3600e3;
  const with_ = by === "folder" ? "" : `?by=${by}`;
  const at = (days) => `/day/${dateOf(middle + days * 86400e3)}${with_}`;
  return html`<div class="top">
    <h1>${dayOfYear(middle)}</h1>
    <span class="row no-print"><a class="btn plain" href=${at(-1)} aria-label="Day before" title="Day before">‹</a><a class="btn plain" href=${`/${with_}`} aria-current=${isToday ? "date" : undefined}>Today</a><a class="btn plain" href=${at(1)} aria-label="Day after" title="Day after">›</a></span>
    <${InCalendars} date=${dateOf(middle)} />
    <span class="grow"></span>
    <div class="seg no-print hide-s" role="group" aria-label="Rows">
      ${Object.entries(BY).map(([name, word]) => html`<button key=${name} aria-pressed=${by === name ? "true" : "false"} onClick=${() => go(`${isToday ? "/" : `/day/${dateOf(middle)}`}${name === "folder" ? "" : `?by=${name}`}`)}>${word}</button>`)}
    </div>
    <button class="btn no-print hide-s" onClick=${() => print()}>Print</button>
  </div>`;
}

/** Of each instance the first of its runs, and how many they are. @param {any[]} runs */
function byInstance(runs) {
  const found = new Map();
  for (const run of runs) {
    const key = `${run.job_id} ${JSON.stringify(run.args)}`;
    if (found.has(key)) found.get(key).times += 1;
    else found.set(key, { run, times: 1 });
  }
  return [...found.values()];
}

/** Runs of a span with other terms, as a place to go. */
function runsOf({ since, until }, q = "", state = "") {
  return `/runs${asQuery({ q: `${q} since:${since} until:${until}`.trim(), state })}`;
}

/** Runs of a span that are due and have not begun, as a place to go. */
function lateOf({ since, until }, q = "") {
  return runsOf({ since, until: Date.parse(until) < stream.now() ? until : "now" }, `${q} state:scheduled,waiting !held:yes`.trim());
}

function Totals({ sheet, span, next, late, now }) {
  const { counts, expected } = sheet.all;
  const n = (...states) => states.reduce((sum, state) => sum + (counts[state] ?? 0), 0);
  const failed = n("failure", "error", "lost");
  const done = n("success");
  const right = done + failed > 0 ? `${((done / (done + failed)) * 100).toFixed(1)} % right` : "";
  const parts = ["error", "lost"].filter((state) => counts[state]).map((state) => `${count(counts[state])} ${state}`);
  const worst = late.length ? Math.max(...late.map((run) => lateness(run, now))) : 0;
  // On a wall figures of three digits and more do not have the room of those of two, nor elsewhere those of five.
  const most = Math.max(expected, ...Object.values(counts));
  return html`<nav class=${`totals${most >= 100 ? " broad" : ""}${most >= 10_000 ? " wide" : ""}`} aria-label="The day in figures">
    <${Total} words="expected" n=${expected} href=${runsOf(span)} note=${sheet.complete ? "" : "and more"} />
    <${Total} state="success" words="done" n=${done} href=${runsOf(span, "", "success")} note=${right} />
    <${Total} state="running" n=${n("starting", "running", "stopping")} href=${runsOf(span, "state:starting,running,stopping")} hot />
    <${Total} state="waiting" n=${n("waiting")} href=${runsOf(span, "", "waiting")} />
    <${Total} state="late" n=${n("late")} href=${lateOf(span)} note=${worst ? `worst ${duration(worst)}` : ""} hot />
    <${Total} state="failure" words="failed" n=${failed} href=${runsOf(span, "state:failure,error,lost")} note=${parts.join(", ")} hot />
    <${Total} state="held" n=${n("held")} href=${runsOf(span, "held:yes")} hot />
    <${Total} state="skipped" n=${n("skipped")} href=${runsOf(span, "", "skipped")} />
    <${Total} state="scheduled" words="to come" n=${n("scheduled")} href=${runsOf(span, "", "scheduled")} note=${next && html`next <${InTime} at=${next.schedule_time} />`} />
  </nav>`;
}

function Total({ state, words, n, href, note, hot }) {
  return html`<a href=${href} class=${!n ? "zero" : hot ? `hot s-${state}` : ""} data-total=${words ?? state}>
    <b>${count(n)}</b><span>${state && html`<${Icon} state=${state} />`}${words ?? state}</span><small>${note || " "}</small>
  </a>`;
}

/** @type {[string, string[] | null, string][]} */
const COUNTS = [
  ["Expected", null, ""],
  ["Done", ["success"], "hide-s"],
  ["Running", ["starting", "running", "stopping"], ""],
  ["Waiting", ["waiting"], "hide-s"],
  ["Late", ["late"], ""],
  ["Failed", ["failure", "error", "lost"], ""],
  ["Held", ["held"], "hide-s"],
  ["Skipped", ["skipped"], "hide-s"],
];
const COLOURS = { Running: "running", Waiting: "waiting", Late: "late", Failed: "failure", Held: "held" };

function DayTable({ sheet, by, now, span }) {
  const [box, width] = useWidth(520);
  const termOf = (name) => (by === "folder" ? (name ? `job:${quoted(name)}` : "") : name ? `${by}:${quoted(name)}` : "");
  const hrefOf = (name) => (brush) => runsOf(brush, termOf(name));
  const count_ = (group, states) => (states === null ? group.expected : states.reduce((sum, state) => sum + (group.counts[state] ?? 0), 0));
  const cells = (group) =>
    COUNTS.map(([title, states, hide]) => {
      const n = count_(group, states);
      const term = termOf(group.name);
      const href = states?.includes("late") ? lateOf(span, term) : runsOf(span, `${term}${states ? ` state:${states.join(",")}` : ""}`);
      const colour = n && COLOURS[title] ? `s-${COLOURS[title]} c` : "";
      return html`<td class=${`num ${hide} ${colour}`}>
        ${n ? html`<a href=${href}>${count(n)}</a>` : html`<span class="z">·</span>`}
      </td>`;
    });
  const hours = hourly(sheet, sheet.all).map((hour) => clock(hour.ms).slice(0, 5));
  const { button, table } = useTable("The day by hours", [BY[by], ...hours], () =>
    [{ ...sheet.all, name: null }, ...sheet.groups].map((group) => [group.name === null ? allOf(group) : group.name || NOBODY[by], ...hourly(sheet, group).map((hour) => hourCell(hour, hrefOf(group.name ?? "")))]),
  );
  const end = html`<div class="row sheet-end no-print hide-s"><span class="faint small">${table ? "Each hour of a row leads to its runs" : "Drag over a lane for the runs of that time"}</span><span class="grow"></span>${button}</div>`;
  if (table) return html`<section class="sec" aria-label="The day by ${by}"><div class="panel">${table}</div>${end}</section>`;
  return html`<section class="sec" aria-label="The day by ${by}"><div class="panel">
    <table class="sheet-t">
      <colgroup><col class="c-name" />${COUNTS.map(([, , hide]) => html`<col class=${`c-n ${hide}`} />`)}<col class="hide-s" /><col class="c-l hide-s" /></colgroup>
      <thead>
        <tr>
          <th>${BY[by]}</th>
          ${COUNTS.map(([title, , hide]) => html`<th class=${`num ${hide}`}>${title}</th>`)}
          <th class="lane hide-s"><div ref=${box}><${Hours} day=${sheet} width=${width} now=${now} /></div></th>
          <th class="num hide-s">Last</th>
        </tr>
      </thead>
      <tbody>
        <tr class="all">
          <td class="strong">${allOf(sheet.all)}</td>
          ${cells(sheet.all)}
          <td class="lane hide-s"><${Histogram} group=${sheet.all} day=${sheet} width=${width} now=${now} href=${hrefOf("")} /></td>
          <td class="num hide-s dim"><${LastOut} at=${sheet.all.last} /></td>
        </tr>
        ${sheet.groups.map(
          (group) => html`<tr key=${group.name} data-group=${group.name}>
            <td class="cut"><a href=${runsOf(span, termOf(group.name))} title=${group.name}>${group.name ? html`<${JobName} id=${group.name} href=${null} />` : html`<span class="faint">${NOBODY[by]}</span>`}</a></td>
            ${cells(group)}
            <td class="lane hide-s"><${Lane} group=${group} day=${sheet} width=${width} now=${now} href=${hrefOf(group.name)} /></td>
            <td class="num hide-s dim"><${LastOut} at=${group.last} /></td>
          </tr>`,
        )}
      </tbody>
    </table>
    ${sheet.groups.length === 0 && html`<p class="empty slim">No run is expected on this day.</p>`}
  </div>${end}</section>`;
}

/** How many runs of an hour, and what of them is not well, as a way to them. */
function hourCell({ ms, n, bad }, href) {
  if (!n) return html`<span class="z">·</span>`;
  return html`<a href=${href({ since: new Date(ms).toISOString(), until: new Date(ms + 3600e3).toISOString() })}>${count(n)}${bad.length > 0 && html` <b>${bad.map(([state, some]) => `${count(some)} ${state}`).join(", ")}</b>`}</a>`;
}

/** The name of the row of all. */
function allOf(group) {
  return group.jobs === 1 ? "The one job" : `All ${count(group.jobs)} jobs`;
}

function quoted(text) {
  return /[\s,"']/.test(text) ? JSON.stringify(text) : text;
}

/** Up to the minute: the last run of a row. */
function LastOut({ at }) {
  return at ? html`<time datetime=${at}>${clock(Date.parse(at)).slice(0, 5)}</time>` : html`<span class="z">–</span>`;
}

/** What runs, how far over its usual time first. */
function Running({ runs, usual, now }) {
  const over = (run) => (run.times.running && usual[run.job_id] ? elapsed(run, now) / usual[run.job_id].p50 : -1);
  const sorted = [...runs].sort((a, b) => Number(a.state === "waiting") - Number(b.state === "waiting") || over(b) - over(a) || due(a) - due(b));
  const going = runs.filter((run) => run.state !== "waiting").length;
  return html`<${Panel} title="Running now" sub=${going ? `${count(going)} · longest over their usual time first` : ""}>
    ${sorted.length === 0
      ? html`<p class="empty slim">Nothing runs at this moment.</p>`
      : html`<table class="runs going">
          <colgroup><col class="col-icon" /><col /><col class="col-late" /><col class="col-late" /><col class="col-bar hide-s" /><col class="col-time hide-s" /></colgroup>
          <tbody>
            ${sorted.slice(0, LISTED).map(
              (run) => html`<tr key=${run.run_id} data-run=${run.run_id}>
                <td title=${run.state}><${Icon} state=${run.state} /><span class="sr">${run.state}</span></td>
                <td><${AdHoc} of=${run} /> <${JobName} id=${run.job_id} href=${`/runs/${run.run_id}`} /> <${Args} args=${run.args} /></td>
                <td class="num"><${Late} run=${run} /></td>
                <td class="num"><${Elapsed} run=${run} /></td>
                <td class="hide-s"><${Progress} run=${run} usual=${usual[run.job_id]} now=${now} /></td>
                <td class="num dim hide-s">${left(run, usual[run.job_id], now)}</td>
              </tr>`,
            )}
          </tbody>
        </table>`}
  <//>`;
}

/** How far a run is in its usual time: the tick is what half of them take. */
function Progress({ run, usual, now }) {
  const took = elapsed(run, now);
  if (!usual || took === null) return null;
  const whole = Math.max(usual.p90 * 1.15, took * 1.05);
  const x = (s) => ((s / whole) * 100).toFixed(1);
  return html`<svg class="prog" viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label=${`${duration(took)} of usually ${duration(usual.p50)}`}>
    <rect class="track" width="100" height="6" /><rect class=${took > usual.p90 ? "f-late" : "f-running"} width=${x(took)} height="6" /><path class="p50" vector-effect="non-scaling-stroke" d=${`M${x(usual.p50)} 0v6`} />
  </svg>`;
}

function left(run, usual, now) {
  const took = elapsed(run, now);
  if (!usual || took === null) return "";
  if (took <= usual.p50) return `≈ ${duration(usual.p50 - took)} left`;
  return took > usual.p90 ? html`<span class="s-late c">${duration(took - usual.p90)} past p90</span>` : "any moment";
}

function Coming({ runs, left }) {
  return html`<${Panel} title="Next calls" sub=${left ? `${count(left)} to come this day` : ""}>
    ${runs.length === 0
      ? html`<p class="empty slim">Nothing is scheduled.</p>`
      : html`<table class="runs">
          <colgroup><col class="col-at" /><col /><col class="col-in" /></colgroup>
          <tbody>
            ${runs.slice(0, LISTED).map(
              (run) => html`<tr key=${run.run_id}>
                <td><${Time} at=${run.schedule_time} /></td>
                <td><${AdHoc} of=${run} /> <${JobName} id=${run.job_id} href=${`/runs/${run.run_id}`} /> <${Args} args=${run.args} /></td>
                <td class="num dim"><${InTime} at=${run.schedule_time} /></td>
              </tr>`,
            )}
          </tbody>
        </table>`}
  <//>`;
}

/** The sentence under a printed sheet. */
function accounted(sheet) {
  const { counts, expected } = sheet.all;
  const said = Object.entries(counts).filter(([state]) => state !== "late").map(([state, n]) => `${count(n)} ${state}`);
  return `${count(expected)} expected: ${said.join(", ")}.`;
}
