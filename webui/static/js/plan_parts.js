// What timeline, calendar and graph share: three views of one query, and the two weeks to come.
import { useTable } from "./astable.js";
import { html, useEffect, useMemo, useState } from "./preact.js";
import { query as asQuery } from "./api.js";
import { useWidth } from "./daylanes.js";
import { count, dayOf, shownZone, when } from "./format.js";
import { go } from "./router.js";
import { useNow } from "./stream.js";
import { useGet, useRefreshed } from "./views_common.js";

const VIEWS = [
  ["/timeline", "Timeline"],
  ["/calendar", "Calendar"],
  ["/graph", "Graph"],
];
const DAYS = 14;
const REREAD_MS = 120e3;
const HOUR_MS = 3600e3;
const CELL = { y: 19.4, left: 92, right: 78, top: 24 };
// Narrower than this it is scrolled sideways.
const LEAST_WIDE = 900;

/** @param {{at: string, q: string}} of */
export function PlanViews({ at, q }) {
  return html`<nav class="seg" aria-label="View">
    ${VIEWS.map(([path, name]) => html`<a key=${path} href=${`${path}${asQuery({ q })}`} aria-current=${path === at ? "page" : undefined}>${name}</a>`)}
  </nav>`;
}

/** The last answer while the next is on its way. */
export function useKeptGet(path) {
  const found = useGet(path);
  const [kept, setKept] = useState(found.value);
  useEffect(() => {
    if (found.value) setKept(found.value);
  }, [found.value]);
  return { ...found, value: found.value ?? kept, fresh: found.value !== null };
}

const makers = new Map();
function placeOf(ms) {
  const zone = shownZone();
  if (!makers.has(zone)) makers.set(zone, new Intl.DateTimeFormat("en-GB", { timeZone: zone, weekday: "short", day: "numeric", month: "short", hour: "2-digit", hour12: false }));
  const found = Object.fromEntries(makers.get(zone).formatToParts(ms).map((part) => [part.type, part.value]));
  return { day: `${found.weekday} ${found.day}`, month: found.month, hour: Number(found.hour) % 24 };
}

/** Expected runs of the next fortnight by day and hour, in grey: load is no state. @param {{q: string}} of */
export function Coming({ q }) {
  const now = useNow();
  const from = Date.parse(dayOf(now).since);
  const to = from + DAYS * 24 * HOUR_MS;
  const { value, error, again } = useKeptGet(`/api/v2/day${asQuery({ q, from: new Date(from).toISOString(), to: new Date(to).toISOString(), bins: DAYS * 24 })}`);
  useRefreshed(again, REREAD_MS);
  const zone = shownZone();
  const hrefOf = (cell) => `/timeline${asQuery({ q, from: new Date(cell.ms).toISOString(), span: "2h" })}`;
  const [box, wide] = useWidth(LEAST_WIDE);
  // Before the answer is there its rows are, as not counted: nothing below them jumps.
  const told = value ? Date.parse(value.told_to) : from;
  const days = useMemo(() => byDay(value ?? { bins: DAYS * 24, all: { marks: {} } }, from, told), [value, zone, from]);
  const { button, table } = useTable("Coming days", ["day", "hour", "expected runs"], () => days.flatMap((day) => day.hours.filter((cell) => cell?.known && cell.n).map((cell) => [day.name, html`<a href=${hrefOf(cell)}>${String(cell.hour).padStart(2, "0")}:00</a>`, count(cell.n)])));
  if (error && !value) return null;
  const all = days.flatMap((day) => day.hours.filter((cell) => cell?.known));
  const most = Math.max(1, ...all.map((cell) => cell.n));
  const busiest = all.reduce((best, cell) => (cell.n > (best?.n ?? 0) ? cell : best), null);
  const width = Math.max(LEAST_WIDE, wide);
  const cellWide = (width - CELL.left - CELL.right) / 24;
  const depth = (n) => (n === 0 ? 0 : Math.min(4, 1 + Math.floor((n / most) * 3.99)));
  return html`<section class="sec" aria-labelledby="h-coming">
    <div class="sec-head"><h2 id="h-coming">Coming ${DAYS} days</h2><span class="sub">expected runs by hour${busiest ? `, busiest ${busiest.day} ${String(busiest.hour).padStart(2, "0")}:00` : ""}${value && told < to ? ` · counted to ${when(told, now)}: narrow the query for more` : ""}</span><span class="grow"></span>${button}</div>
    ${table ? html`<div class="panel">${table}</div>` : html`<div class="panel gp pad" tabindex="0" role="region" aria-labelledby="h-coming" ref=${box}><svg class="chart coming" viewBox=${`0 0 ${width} ${CELL.top + days.length * CELL.y + 4}`} role="group" aria-label=${`${count(all.reduce((sum, cell) => sum + cell.n, 0))} expected runs in ${DAYS} days`}>
      ${Array.from({ length: 12 }, (_, index) => html`<text class="lbl" x=${CELL.left + index * 2 * cellWide} y="14">${String(index * 2).padStart(2, "0")}</text>`)}
      <text class="lbl lbl-end" x=${width - 4} y="14">runs</text>
      ${days.map(
        (day, row) => html`<g key=${day.name}>
          <text class=${/^(Sat|Sun)/.test(day.name) ? "lbl" : "lbl-2"} x="10" y=${CELL.top + row * CELL.y + 13}>${day.name}</text>
          ${day.hours.map(
            (cell, hour) =>
              cell &&
              html`<g class="ccell" data-n=${cell.n} onClick=${() => go(hrefOf(cell))}><title>${`${day.name} ${String(hour).padStart(2, "0")}:00: ${cell.known ? count(cell.n) : "not counted"}`}</title>
                <rect class=${cell.known ? `cal${depth(cell.n)}` : "cal-x"} x=${CELL.left + hour * cellWide} y=${CELL.top + row * CELL.y} width=${cellWide - 1.6} height=${CELL.y - 2} />${cell.n > 0 && cell.known && html`<text class=${`calt${depth(cell.n)} lbl-mid`} x=${CELL.left + hour * cellWide + cellWide / 2} y=${CELL.top + row * CELL.y + 12.6}>${cell.n < 10000 ? cell.n : "…"}</text>`}</g>`,
          )}
          <text class="lbl lbl-end" x=${width - 4} y=${CELL.top + row * CELL.y + 13}>${day.known ? count(day.n) : day.n ? `${count(day.n)}+` : "–"}</text>
        </g>`,
      )}
    </svg></div>`}
  </section>`;
}

/** Scheduled runs by day and hour of the shown zone, from the bins of an answer; what is not before `told` is not known. */
function byDay(value, from, told) {
  const days = new Map();
  const marks = new Map(value.all.marks.scheduled ?? []);
  for (let bin = 0; bin < value.bins; bin += 1) {
    const ms = from + bin * HOUR_MS;
    const { day, hour } = placeOf(ms);
    if (!days.has(day)) days.set(day, { name: day, hours: Array(24).fill(null), n: 0, known: true });
    const row = days.get(day);
    const known = ms + HOUR_MS <= told;
    row.known &&= known;
    row.hours[hour] ??= { n: 0, ms, hour, day, known };
    row.hours[hour].n += marks.get(bin) ?? 0;
    row.n += known ? (marks.get(bin) ?? 0) : 0;
  }
  return [...days.values()].slice(0, DAYS);
}
