// The past of a job: a heat map of its worst states, and how long its runs took, with what is usual.
import { useTable } from "./astable.js";
import { html, useEffect, useMemo, useState } from "./preact.js";
import { query as asQuery } from "./api.js";
import { useWidth } from "./daylanes.js";
import { clock, count, counted, duration, inZone, shownZone } from "./format.js";
import { gridOf, nameOf } from "./grid.js";
import { go } from "./router.js";
import { useGet, useRefreshed } from "./views_common.js";

const SPANS = [56, 182, 730];
const REREAD_MS = 15e3;
const DAY_MS = 86400e3;
// The worst last: a cell takes its worst.
const WORST = ["scheduled", "success", "skipped", "waiting", "starting", "running", "stopping", "lost", "error", "failure"];
// What has run, well or not: neither what still runs nor what was left out.
const ENDED = ["success", "failure", "error", "lost"];
const DRAWN = { starting: "running", stopping: "running" };
// Until the width there is has been measured.
const WIDE = 390;
const HIGH = 180;
const BUCKETS = 28;
// Names of the axis of time are no closer, and so wide.
const AXIS_PX = 90;
const LABEL_PX = 70;

/** @param {{jobId: string}} of */
export function History({ jobId }) {
  const [days, setDays] = useState(SPANS[0]);
  const { value, error, again } = useGet(`/api/v2/history${asQuery({ job: jobId, days })}`);
  useRefreshed(again, REREAD_MS);
  const [last, setLast] = useState(value);
  useEffect(() => {
    if (value) setLast(value);
  }, [value]);
  const shown = value ?? last; // the old stays until the new is there
  if (error && !shown) return html`<p class="panel empty slim" role="alert">${error.message}</p>`;
  if (!shown) return html`<section class="panel sec-b past" aria-label="History" aria-busy="true"></section>`; // its room is kept: nothing jumps
  const older = SPANS[SPANS.indexOf(days) + 1];
  const begin = shown.at.length ? shown.at[0] * 1000 : Date.parse(shown.now);
  // More is there when what is shown reaches back to where it was cut off.
  const more = older && begin - Date.parse(shown.from) < 3 * DAY_MS;
  return html`<section class="panel sec-b" aria-label="History">
    <div class="jc">
      <${HeatMap} past=${shown} jobId=${jobId} />
      <${Lengths} past=${shown} />
    </div>
    ${more && html`<p class="empty slim"><button class="btn small" onClick=${() => setDays(older)}>Load older</button></p>`}
    ${!shown.complete && html`<p class="faint small pad">The newest ${count(shown.at.length)} runs of ${counted(days, "day")}.</p>`}
  </section>`;
}

const parts = new Map();
/** Day and hour of an instant in the shown zone: [days since 1970, hour]. */
function placeOf(s) {
  const zone = shownZone();
  if (!parts.has(zone)) parts.set(zone, new Intl.DateTimeFormat("en-GB", { timeZone: zone, year: "numeric", month: "numeric", day: "numeric", hour: "numeric", hour12: false }));
  const found = Object.fromEntries(parts.get(zone).formatToParts(s * 1000).map((part) => [part.type, Number(part.value)]));
  return [Math.round(Date.UTC(found.year, found.month - 1, found.day) / DAY_MS), found.hour % 24];
}

/** Cells of a past: by hour and day for what runs more than daily, else by weekday and week. */
export function cellsOf(past) {
  const first = placeOf(Date.parse(past.from) / 1000)[0];
  const last = placeOf(Date.parse(past.now) / 1000)[0];
  const often = past.at.length > 1.5 * new Set(past.at.map((s) => Math.floor(s / 86400))).size && last - first <= 200;
  const monday = first - ((first + 3) % 7);
  const columns = often ? last - first + 1 : Math.floor((last - monday) / 7) + 1;
  const cells = new Map();
  past.at.forEach((s, index) => {
    const [day, hour] = placeOf(s);
    const column = often ? day - first : Math.floor((day - monday) / 7);
    const row = often ? hour : (day + 3) % 7;
    if (column < 0) return;
    const key = `${column} ${row}`;
    const state = past.states[past.state[index]];
    const cell = cells.get(key) ?? { column, row, state, n: 0, from: s, to: s };
    cell.n += 1;
    cell.from = Math.min(cell.from, s);
    cell.to = Math.max(cell.to, s);
    if (WORST.indexOf(state) > WORST.indexOf(cell.state)) cell.state = state;
    cells.set(key, cell);
  });
  return { often, columns, rows: often ? 24 : 7, first: often ? first : monday, cells };
}

function HeatMap({ past, jobId }) {
  const zone = shownZone();
  const { often, columns, rows, first, cells } = useMemo(() => cellsOf(past), [past, zone]);
  const [box, whole] = useWidth(WIDE);
  const left = often ? 24 : 32;
  const wide = (whole - left) / columns;
  const tall = (HIGH - 18) / rows;
  const gap = Math.min(0.9, wide / 3); // a box that is just being laid out may be very narrow
  const paths = {};
  for (const { column, row, state } of cells.values()) {
    const name = DRAWN[state] ?? state;
    const [x, y] = [left + column * wide, 16 + row * tall];
    paths[name] = `${paths[name] ?? ""}M${x.toFixed(1)} ${y.toFixed(1)}h${(wide - gap).toFixed(1)}v${(tall - 0.9).toFixed(1)}h${(gap - wide).toFixed(1)}z`;
  }
  const hrefOf = (cell) => `/runs${asQuery({ q: `job:${quoted(jobId)} since:${iso(cell.from)} until:${iso(cell.to + 1)}` })}`;
  const open = (event) => {
    const place = event.currentTarget.getBoundingClientRect();
    const column = Math.floor((((event.clientX - place.left) / place.width) * whole - left) / wide);
    const row = Math.floor((((event.clientY - place.top) / place.height) * HIGH - 16) / tall);
    const cell = cells.get(`${column} ${row}`);
    if (cell) go(hrefOf(cell));
  };
  const ended = past.state.map((state) => past.states[state]).filter((state) => ENDED.includes(state));
  const good = ended.filter((state) => state === "success").length;
  const rate = ended.length ? `${((good / ended.length) * 100).toFixed(1)} % success` : past.at.length ? counted(past.at.length, "run") : "no runs";
  const step = often ? (columns > 100 ? 28 : 14) : columns > 52 ? 26 : 4;
  const labels = Array.from({ length: Math.ceil(columns / step) }, (_, index) => index * step).filter((column) => column < columns - step / 3);
  const dayOf = (column) => new Date((first + column * (often ? 1 : 7)) * DAY_MS).toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
  const { button, table } = useTable("History", ["first run", "runs", "worst"], () => [...cells.values()].sort((a, b) => b.from - a.from).map((cell) => [html`<a href=${hrefOf(cell)}>${inZone(cell.from * 1000, zone)}</a>`, count(cell.n), cell.state]));
  return html`<figure ref=${box}>
    <figcaption><h2>History</h2><span class="faint small">${often ? `${count(columns)} days by hour` : `${count(columns)} weeks by day`} · ${rate}</span>${button}</figcaption>
    ${table ?? html`<svg class="chart heat" viewBox=${`0 0 ${whole} ${HIGH}`} role="img" aria-label=${`${heatWords(past)}, ${often ? "by day and hour" : "by week and day"}`} onClick=${open} data-heat=${often ? "hours" : "weeks"}>
      ${often
        ? [0, 6, 12, 18].map((hour) => html`<text class="lbl lbl-end" x="18" y=${16 + hour * tall + 8}>${String(hour).padStart(2, "0")}</text>`)
        : ["Mon", "Wed", "Fri", "Sun"].map((name, index) => html`<text class="lbl lbl-end" x="26" y=${16 + index * 2 * tall + tall / 2 + 4}>${name}</text>`)}
      ${labels.map((column) => html`<text class="lbl" x=${left + column * wide} y="10">${dayOf(column)}</text>`)}
      ${WORST.map((state) => paths[state] && html`<path class=${`f-${state}`} d=${paths[state]} />`)}
    </svg>`}
  </figure>`;
}

function heatWords(past) {
  const counts = {};
  for (const state of past.state) counts[past.states[state]] = (counts[past.states[state]] ?? 0) + 1;
  return Object.entries(counts)
    .map(([state, n]) => `${count(n)} ${state}`)
    .join(", ");
}

/** The median of what good runs took, in s; null when none did. @param {any[]} runs */
export function typical(runs) {
  const times = runs.filter((run) => run.state === "success" && run.elapsed !== null).map((run) => run.elapsed);
  return times.length ? times.sort((a, b) => a - b)[Math.floor(times.length / 2)] : null;
}

/** The value below which a share of sorted numbers lies. */
function quantile(sorted, share) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

/** p10, p50 and p90 of the good runs, in even parts of the time. */
export function lengthsOf(past) {
  const good = past.took.flatMap((took, index) => (took !== null && past.states[past.state[index]] === "success" ? [[past.at[index], took]] : []));
  const all = good.map(([, took]) => took).sort((a, b) => a - b);
  if (!all.length) return null;
  const from = past.at[0];
  const span = Math.max(1, past.at[past.at.length - 1] - from);
  const buckets = Array.from({ length: Math.min(BUCKETS, Math.max(1, Math.floor(good.length / 6))) }, () => []);
  for (const [at, took] of good) buckets[Math.min(buckets.length - 1, Math.floor(((at - from) / span) * buckets.length))].push(took);
  const line = buckets.flatMap((bucket, index) => {
    if (!bucket.length) return [];
    bucket.sort((a, b) => a - b);
    return [{ at: from + ((index + 0.5) / buckets.length) * span, p10: quantile(bucket, 0.1), p50: quantile(bucket, 0.5), p90: quantile(bucket, 0.9) }];
  });
  return { from, span, line, p50: quantile(all, 0.5), p90: quantile(all, 0.9), top: quantile(all, 0.99) };
}

const STEPS = [0.001, 0.01, 0.1, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 240, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 86400];

function Lengths({ past }) {
  const found = useMemo(() => lengthsOf(past), [past]);
  const [box, whole] = useWidth(WIDE);
  const { button, table } = useTable("Duration", ["at", "took", "state", "run"], () => lengthRows(past));
  if (!found) return html`<figure ref=${box}><figcaption><h2>Duration</h2><span class="faint small">no run has ended well</span></figcaption></figure>`;
  const { from, span, line, p50, p90, top } = found;
  const most = Math.max(top * 1.15, 0.001);
  const step = STEPS.find((s) => most / s <= 4) ?? 86400;
  const x = (s) => 42 + ((s - from) / span) * (whole - 50);
  const y = (took) => HIGH - 18 - (Math.min(took, most) / most) * (HIGH - 34);
  const dots = { good: "", bad: "" };
  const every = Math.ceil(past.at.length / 1200);
  past.took.forEach((took, index) => {
    const bad = ["failure", "error"].includes(past.states[past.state[index]]);
    if (took === null || (!bad && index % every)) return;
    dots[bad ? "bad" : "good"] += `M${x(past.at[index]).toFixed(1)} ${y(took).toFixed(1)}h0`;
  });
  // Without enough runs there is no line, but each dot.
  const band = line.length > 1 && `M${line.map((one) => `${x(one.at).toFixed(1)} ${y(one.p90).toFixed(1)}`).join("L")}L${[...line].reverse().map((one) => `${x(one.at).toFixed(1)} ${y(one.p10).toFixed(1)}`).join("L")}z`;
  const median = line.length > 1 && `M${line.map((one) => `${x(one.at).toFixed(1)} ${y(one.p50).toFixed(1)}`).join("L")}`;
  const day = (s) => new Date(s * 1000).toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: shownZone() });
  const grid = gridOf(from * 1000, (from + span) * 1000, Math.max(2, Math.floor(whole / AXIS_PX)));
  const now = Date.now();
  const ticks = Array.from({ length: Math.floor(most / step) + 1 }, (_, index) => index * step);
  const open = (event) => {
    const place = event.currentTarget.getBoundingClientRect();
    const at = from + ((((event.clientX - place.left) / place.width) * whole - 42) / (whole - 50)) * span;
    let nearest = 0;
    past.at.forEach((s, index) => {
      if (Math.abs(s - at) < Math.abs(past.at[nearest] - at)) nearest = index;
    });
    go(`/runs/r${past.number[nearest]}`);
  };
  return html`<figure ref=${box}>
    <figcaption><h2>Duration</h2><span class="faint small">p50 ${duration(p50)} · p90 ${duration(p90)}</span>${button}</figcaption>
    ${table ?? html`<svg class="chart lengths" viewBox=${`0 0 ${whole} ${HIGH}`} role="img" aria-label=${`Half of ${count(past.at.length)} runs took at most ${duration(p50)}, nine in ten at most ${duration(p90)}`} onClick=${open}>
      ${ticks.map((took) => html`<path class="grid-l" d=${`M42 ${y(took).toFixed(1)}h${whole - 50}`} /><text class="lbl lbl-end" x="38" y=${y(took) + 4}>${took === 0 ? "0" : duration(took)}</text>`)}
      ${band && html`<path class="band" d=${band} />`}
      <path class="dots" d=${dots.good} /><path class="dots dots-f" d=${dots.bad} />
      ${median && html`<path class="p50-l f-none" d=${median} />`}
      ${past.definitions.map((one) => html`<path class="p90" d=${`M${x(one.at).toFixed(1)} 14v${HIGH - 32}`}><title>${`another definition since ${day(one.at)} ${clock(one.at * 1000)}`}</title></path>`)}
      ${past.definitions.slice(-1).map((one) => html`<text class=${`lbl-2 ${x(one.at) > whole * 0.6 ? "lbl-end" : ""}`} x=${x(one.at) + (x(one.at) > whole * 0.6 ? -4 : 4)} y="22">${(one.commit ?? one.hash).slice(0, 7)}</text>`)}
      ${line.length > 1 && html`<text class="lbl-1 lbl-end" x=${whole - 8} y=${Math.max(12, y(line[line.length - 1].p50) - 6)}>p50 ${duration(line[line.length - 1].p50)}</text>`}
      ${grid.at.map((ms) => x(ms / 1000) + LABEL_PX < whole && html`<path class="grid-l" d=${`M${x(ms / 1000).toFixed(1)} ${HIGH - 18}v4`} /><text class="lbl" x=${x(ms / 1000).toFixed(1)} y=${HIGH - 3}>${nameOf(ms, grid.step, now)}</text>`)}
    </svg>`}
  </figure>`;
}

/** What each run took, the newest first. */
function lengthRows(past) {
  const zone = shownZone();
  return past.at.flatMap((at, index) => (past.took[index] === null ? [] : [[inZone(at * 1000, zone), duration(past.took[index]), past.states[past.state[index]], html`<a href=${`/runs/r${past.number[index]}`}>r${past.number[index]}</a>`]])).reverse();
}

export function quoted(text) {
  return /[\s,"']/.test(text) ? JSON.stringify(text) : text;
}

function iso(s) {
  return `${new Date(s * 1000).toISOString().slice(0, 19)}Z`;
}
