// Calendar: the runs that schedules name over a span, by day and hour.
import { html, useEffect, useMemo, useState } from "../preact.js";
import { Args, Icon, JobName, Trouble } from "../parts.js";
import { query as asQuery } from "../api.js";
import { clock, count, counted, dayOf, dayOfYear, instantOf, shownZone, when } from "../format.js";
import { Coming, PlanViews } from "../plan_parts.js";
import { go, here, useUrl } from "../router.js";
import { stream, useNow } from "../stream.js";
import { useTyped } from "../typed.js";
import { useGet } from "../views_common.js";

const REREAD_MS = 60e3;
// Rows drawn at first, and more with each wish for more.
const PAGE = 300;
const SPANS = [
  ["today", "today"],
  ["24h", "24 h"],
  ["7d", "7 days"],
];
const ENDS = { "24h": "+24h", "7d": "+7d" };

export function CalendarView() {
  const url = useUrl();
  const now = useNow();
  const q = url.searchParams.get("q") ?? "";
  const { from: first = "", to: last = "", span: asked } = Object.fromEntries(url.searchParams);
  const span = first || last ? null : SPANS.some(([name]) => name === asked) ? asked : "24h";
  const to = span ? (ENDS[span] ?? dayOf(now).until) : dayFrom(last || first).until;
  const { value, error, again } = useGet(`/api/v2/forecast${asQuery({ q, from: first ? dayFrom(first).since : "now", to, whole: "0" })}`);
  useEffect(() => stream.follow({ topic: "jobs" }, again, again), []);
  useEffect(() => {
    const timer = setInterval(() => document.visibilityState === "visible" && again(), REREAD_MS);
    return () => clearInterval(timer);
  }, []);
  const set = (changes, replace = false) => {
    const next = here(); // as it is by then: what is typed comes later
    for (const [name, text] of Object.entries(changes)) {
      if (text) next.searchParams.set(name, text);
      else next.searchParams.delete(name);
    }
    go(next.pathname + next.search, { replace });
  };
  return html`<div>
    <div class="top">
      <h1 class="sr">Calendar</h1>
      <${PlanViews} at="/calendar" q=${q} />
      <${QueryBox} q=${q} set=${set} />
      <span class="dim small nowrap">${value && !error ? counted(value.forecast.length, "run") : ""}${value && !error && !value.complete && ` to ${when(Date.parse(value.to), now)}: the span has too many`}</span>
    </div>
    <div class="facets wraps" role="group" aria-label="Span">
      ${SPANS.map(([name, words]) => html`<button key=${name} aria-pressed=${span === name} onClick=${() => set({ span: name, from: "", to: "" })}>${words}</button>`)}
      <label>from <input class="field" type="date" name="first" value=${first} onChange=${(event) => set({ span: "", from: event.target.value })} /></label>
      <label>to <input class="field" type="date" name="last" value=${last} onChange=${(event) => set({ span: "", to: event.target.value })} /></label>
    </div>
    ${!error && html`<div class="sec-b"><${Coming} q=${q} /></div>`}
    ${error ? html`<${Trouble} error=${error} again=${again} />` : value && html`<${Days} key=${`${q} ${span} ${first} ${last}`} rows=${value.forecast} q=${q} />`}
  </div>`;
}

/** The midnights around a date such as `2026-11-24`; of what is none, the text itself, for the server to refuse. */
function dayFrom(date) {
  const noon = Date.parse(instantOf(`${date}T12:00`));
  return Number.isNaN(noon) ? { since: date, until: date } : dayOf(noon);
}

/** The query as typed; the URL has it shortly after. */
function QueryBox({ q, set }) {
  const { text, type, send } = useTyped(q, (words, replace) => set({ q: words }, replace));
  const onSubmit = (event) => {
    event.preventDefault();
    send();
  };
  return html`<form class="query" role="search" onSubmit=${onSubmit}>
    <input id="query" value=${text} onInput=${(event) => type(event.target.value)} placeholder="job words, label:, arg=value, !not" aria-label="Query" spellcheck="false" autocomplete="off" /><kbd>/</kbd>
  </form>`;
}

function Days({ rows, q }) {
  const [most, setMost] = useState(PAGE);
  const zone = shownZone();
  const { days, left } = useMemo(() => arranged(rows, most), [rows, most, zone]);
  if (!rows.length) return html`<div class="panel empty">No schedule names a run in this span${q && html` with <code>${q}</code>`}.</div>`;
  return html`<div class="stack-1">
    ${days.map(
      (day) => html`<section class="panel" key=${day.name}>
        <header><h2>${day.name}</h2><span class="sub">${counted(day.runs, "run")}</span></header>
        <table class="runs calendar">
          <colgroup><col class="col-hour" /><col class="col-in" /><col /></colgroup>
          ${day.hours.map(
            (hour) => html`<tbody key=${hour.key}>
              ${hour.lines.map(
                (line, place) => html`<tr key=${line.key} data-job=${line.job_id}>
                  <td class="dim">${place === 0 && hour.name}</td>
                  <td class="num"><${Times} runs=${line.runs} /></td>
                  <td class="whole"><${JobName} id=${line.job_id} /> <${Args} args=${line.args} />${line.held && html` <span class="state s-held"><${Icon} state="held" /><span>held</span></span>`}</td>
                </tr>`,
              )}
            </tbody>`,
          )}
        </table>
      </section>`,
    )}
    ${left > 0 && html`<p class="empty slim"><button class="btn" onClick=${() => setMost(most + PAGE)}>${count(left)} more rows, show ${count(Math.min(left, PAGE))}</button></p>`}
  </div>`;
}

/** When the runs of a row are: the one, or the first and how many. */
function Times({ runs }) {
  const at = runs.map((run) => clock(Date.parse(run.schedule_time)));
  const first = html`<time datetime=${runs[0].schedule_time}>${at[0]}</time>`;
  return runs.length === 1 ? first : html`<span title=${`from ${at[0]} to ${at[at.length - 1]}`}><b>${count(runs.length)}×</b> ${first}</span>`;
}

/** Forecast rows by day and hour of the shown zone. Runs of a job with the same args in an hour are one
 *  line. @returns {{days: any[], left: number}} the first `most` lines, and how many there are besides */
function arranged(rows, most) {
  const lines = new Map();
  const days = new Map();
  for (const run of rows) {
    const ms = Date.parse(run.schedule_time);
    const [hour, minute, second] = clock(ms).split(":").map(Number);
    // By the instant it begins: when clocks go back, one name stands for two hours.
    const begin = Math.floor(ms / 1000) - minute * 60 - second;
    const key = `${begin} ${run.job_id} ${JSON.stringify(run.args)}`;
    if (!lines.has(key)) lines.set(key, { key, day: dayOfYear(ms), begin, hour, job_id: run.job_id, args: run.args, runs: [] });
    const line = lines.get(key);
    line.runs.push(run);
    line.held ||= run.held;
    if (!days.has(line.day)) days.set(line.day, { name: line.day, runs: 0, hours: new Map() });
    days.get(line.day).runs += 1;
  }
  for (const line of [...lines.values()].slice(0, most)) {
    const { hours } = days.get(line.day);
    if (!hours.has(line.begin)) hours.set(line.begin, { key: line.begin, name: `${String(line.hour).padStart(2, "0")}:00`, lines: [] });
    hours.get(line.begin).lines.push(line);
  }
  const shown = [...days.values()].filter((day) => day.hours.size > 0);
  return { days: shown.map((day) => ({ ...day, hours: [...day.hours.values()] })), left: Math.max(0, lines.size - most) };
}
