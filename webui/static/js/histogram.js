// How many runs of a query there are when: bars by state, the line of now, a brush that narrows the time.
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./preact.js";
import { get, query as asQuery } from "./api.js";
import { count, inUtc, inZone, shownZone } from "./format.js";
import { useTable } from "./astable.js";
import { gridOf, nameOf } from "./grid.js";
import { useNow } from "./stream.js";

const HIGH = 44;
const BAR = 7;
const MOST_BINS = 240;
const AGAIN_MS = 10_000;
// What one reads first, and whoever goes on to another query at once, have the server for themselves.
const AFTER_ROWS_MS = 150;
// Worst on top, so that a little of it is seen above much that went well.
const ORDER = ["scheduled", "success", "skipped", "waiting", "running", "error", "failure", "lost"];
const SHOWN_AS = { starting: "running", stopping: "running" };
const TICKS = 10;
// The switch to the table stands at the end of the axis, and how many come later before it.
const SWITCH_PX = 104;
const LATER_PX = 84;
const LABEL_PX = 84;

/** @param {{terms: Record<string, string>, there: boolean, version: number, set: (since: string, until: string) => void}} of
 *  `there`: the rows are; `version`: changes when the list did */
export function Histogram({ terms, there, version, set }) {
  const box = useRef(null);
  const [wide, setWide] = useState(0);
  const [bins, setBins] = useState(null);
  const again = useRef(() => {});
  const key = JSON.stringify(terms);
  useLayoutEffect(() => {
    const seen = new ResizeObserver(([entry]) => setWide(Math.round(entry.contentRect.width)));
    seen.observe(box.current);
    return () => seen.disconnect();
  }, []);
  useEffect(() => {
    if (!wide || !there) return undefined;
    let live = true;
    const read = () => {
      timer = 0;
      readMs = Date.now();
      get(`/api/v2/runs-per-time${asQuery({ ...terms, balanced: "1", bins: Math.max(12, Math.min(MOST_BINS, Math.floor(wide / BAR))) })}`)
        .then((value) => live && setBins(value))
        .catch((error) => live && error.status === 400 && setBins(null)); // the list itself says what is wrong
    };
    // Not for every change of the rows.
    let readMs = Date.now();
    let timer = setTimeout(read, AFTER_ROWS_MS);
    again.current = () => {
      timer ||= setTimeout(read, Math.max(0, readMs + AGAIN_MS - Date.now()));
    };
    return () => {
      live = false;
      clearTimeout(timer);
      again.current = () => {};
    };
  }, [key, wide > 0, there]);
  useEffect(() => again.current(), [version]);
  // Until it is read again the chart is the same, whatever comes.
  const plot = useMemo(() => html`<${Plot} bins=${bins} wide=${wide} set=${set} />`, [bins, wide, set, inUtc()]);
  return html`<div class="strip" ref=${box}>${plot}</div>`;
}

function Plot({ bins, wide, set }) {
  const [drag, setDrag] = useState(null);
  const paths = useMemo(() => (bins?.counts && bins.from && wide ? barsOf(bins, sizeOf(bins), wide) : {}), [bins, wide]);
  const { button, table } = useTable("Runs over time", ["from", "runs", ...statesIn(bins)], () => binRows(bins, statesIn(bins), set));
  if (!bins?.counts || !bins.from || !wide) return html`<svg class="plot" aria-hidden="true"></svg><div class="axis"></div>`;
  if (table) return html`<div class="row strip-end">${button}</div><div class="panel">${table}</div>`;
  const from = Date.parse(bins.from);
  const step = bins.step * 1000;
  const size = sizeOf(bins);
  const x = (ms) => ((ms - from) / step / size) * wide;
  const brush = (event) => {
    const left = event.currentTarget.getBoundingClientRect().left;
    const at = (e) => from + Math.max(0, Math.min(size, Math.floor(((e.clientX - left) / wide) * size))) * step;
    const begun = at(event);
    const move = (e) => setDrag([Math.min(begun, at(e)), Math.max(begun, at(e)) + step]);
    const end = (e) => {
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", end);
      removeEventListener("pointercancel", end);
      setDrag(null);
      if (e.type === "pointerup") set(new Date(Math.min(begun, at(e))).toISOString(), new Date(Math.max(begun, at(e)) + step).toISOString());
    };
    if (event.button !== 0) return;
    event.preventDefault();
    addEventListener("pointermove", move);
    addEventListener("pointerup", end);
    addEventListener("pointercancel", end);
  };
  return html`<svg class="plot brush" viewBox=${`0 0 ${wide} ${HIGH}`} preserveAspectRatio="none" role="img" aria-label=${sentence(bins)} onPointerDown=${brush}>
      ${Object.entries(paths).map(([state, d]) => html`<path class=${`f-${state}`} d=${d} />`)}
      <path class="axis-l" d=${`M0 ${HIGH - 0.5}h${wide}`} />
      ${drag && html`<rect class="brushed" x=${x(drag[0])} y="0" width=${x(drag[1]) - x(drag[0])} height=${HIGH} />`}
      <${NowLine} x=${x} wide=${wide} />
    </svg>
    <${Axis} from=${from} to=${from + size * step} x=${x} wide=${wide} end=${wide - SWITCH_PX - (bins.later ? LATER_PX : 0)} /><div class="strip-end over">
      ${bins.later > 0 && html`<button class="link later" onClick=${() => set(bins.to, "")}>${count(bins.later)} later</button>`}${button}
    </div>`;
}

/** The states of an answer, in the order they are drawn. */
function statesIn(bins) {
  return bins?.counts ? Object.keys(bins.counts).filter((state) => bins.counts[state].some((n) => n > 0)) : [];
}

/** A row for each bar; its time narrows the list to it. */
function binRows(bins, states, set) {
  const from = Date.parse(bins.from);
  const step = bins.step * 1000;
  const iso = (ms) => new Date(ms).toISOString();
  return Array.from({ length: sizeOf(bins) }, (_, place) => ({ at: from + place * step, some: states.map((state) => bins.counts[state][place] ?? 0) }))
    .filter(({ some }) => some.some((n) => n > 0))
    .map(({ at, some }) => [html`<button class="link" onClick=${() => set(iso(at), iso(at + step))}>${inZone(at, shownZone())}</button>`, count(some.reduce((sum, n) => sum + n, 0)), ...some.map((n) => (n ? count(n) : html`<span class="z">·</span>`))]);
}

function sizeOf(bins) {
  return Math.round((Date.parse(bins.to) - Date.parse(bins.from)) / (bins.step * 1000));
}

function NowLine({ x, wide }) {
  const at = x(useNow());
  return at > 0 && at < wide ? html`<path class="now-l" d=${`M${at.toFixed(1)} 0v${HIGH}`} />` : null;
}

function barsOf(bins, size, wide) {
  const stacks = {};
  for (const [state, some] of Object.entries(bins.counts)) {
    const shown = SHOWN_AS[state] ?? state;
    stacks[shown] = some.map((n, i) => n + (stacks[shown]?.[i] ?? 0));
  }
  const sums = Array.from({ length: size }, (_, i) => Object.values(stacks).reduce((sum, some) => sum + (some[i] ?? 0), 0));
  const most = Math.max(1, ...sums);
  const one = wide / size;
  const gap = one > 4 ? 1 : 0;
  const base = new Array(size).fill(HIGH - 1);
  const paths = {};
  for (const state of ORDER.filter((name) => stacks[name])) {
    let d = "";
    stacks[state].forEach((n, i) => {
      if (!n) return;
      // A little is seen, too.
      const h = Math.max(state === "failure" || state === "lost" ? 1.5 : 0.8, (n / most) * (HIGH - 6));
      base[i] -= h;
      d += `M${(i * one).toFixed(1)} ${Math.max(0, base[i]).toFixed(1)}h${(one - gap).toFixed(1)}v${h.toFixed(1)}h-${(one - gap).toFixed(1)}z`;
    });
    paths[state] = d;
  }
  return paths;
}

function sentence(bins) {
  const sums = Object.entries(bins.counts).map(([state, some]) => `${count(some.reduce((a, b) => a + b, 0))} ${state}`);
  return `Runs over time, ${inZone(Date.parse(bins.from), shownZone())} to ${inZone(Date.parse(bins.to), shownZone())}: ${sums.join(", ")}${bins.later ? `, ${count(bins.later)} later` : ""}`;
}

function Axis({ from, to, x, wide, end }) {
  const shown = Math.min(TICKS, Math.max(2, Math.floor(wide / 110)));
  const now = useNow();
  const { at, step } = gridOf(from, to, shown);
  return html`<svg class="axis" viewBox=${`0 0 ${wide} 16`} aria-hidden="true">
    ${at.map((ms) => x(ms) + LABEL_PX < end && html`<path class="axis-l" d=${`M${x(ms).toFixed(1)} 0v3`} /><text class="lbl" x=${(x(ms) + 3).toFixed(1)} y="12">${nameOf(ms, step, now)}</text>`)}
  </svg>`;
}
