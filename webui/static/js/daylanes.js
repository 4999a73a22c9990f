// The day as lanes: one row per folder, label, owner or agent; fact left of the now-line, forecast right of it.
import { html, useLayoutEffect, useRef, useState } from "./preact.js";
import { clock, count } from "./format.js";
import { go } from "./router.js";

const HIGH = 27;
const ALL_HIGH = 62;
const COLUMNS = 144;
// Worst last: it is drawn on top.
const ORDER = ["scheduled", "success", "skipped", "waiting", "running", "held", "late", "lost", "error", "failure"];
const STACKED = 3;

/** The width of an element's content in whole px, as it changes. */
export function useWidth(fallback) {
  const box = useRef(null);
  const [width, setWidth] = useState(fallback);
  useLayoutEffect(() => {
    if (!box.current) return undefined;
    const watch = new ResizeObserver(([entry]) => setWidth(Math.max(60, Math.floor(entry.contentRect.width))));
    watch.observe(box.current);
    return () => watch.disconnect();
  }, [box.current]);
  return [box, width];
}

/** Where an instant is on a lane. */
function placed(day, width) {
  const from = Date.parse(day.from);
  const span = Date.parse(day.to) - from;
  return { from, span, x: (ms) => Math.round(Math.min(1, Math.max(0, (ms - from) / span)) * (width - 2)) };
}

/** What each state looks like at x: shape and height say it besides the colour. */
const SHAPES = {
  success: (x) => `M${x} 9h2v9h-2z`,
  scheduled: (x) => `M${x} 11h2v5h-2z`,
  waiting: (x) => `M${x} 8h2v3h-2zM${x} 12h2v3h-2zM${x} 16h2v3h-2z`,
  skipped: (x) => `M${x - 2} 13h6v2h-6z`,
  failure: (x) => `M${x - 1} 3h4v21h-4z`,
  error: (x) => `M${x - 1} 3h4v21h-4z`,
  lost: (x) => `M${x - 1} 3h4v5h-4zM${x - 1} 11h4v5h-4zM${x - 1} 19h4v5h-4z`,
  held: (x) => `M${x - 1} 5h2v17h-2zM${x + 3} 5h2v17h-2z`,
};

/** One path per state. @param {any} group @param {any} day @param {number} width @param {number} now */
function lanePaths(group, day, width, now) {
  const { from, span, x } = placed(day, width);
  const paths = {};
  const draw = (state, d) => {
    paths[state] = (paths[state] ?? "") + d;
  };
  for (const [state, marks] of Object.entries(group.marks)) {
    for (const [place] of marks) draw(state, (SHAPES[state] ?? SHAPES.success)(x(from + ((place + 0.5) / day.bins) * span)));
  }
  const end = x(Math.min(now, from + span));
  group.bars.slice(0, STACKED).forEach((ms, row) => {
    const at = Math.min(x(ms), end - 3);
    draw("running", `M${at} ${7 + row * 5}h${end - at}v4h-${end - at}z`);
  });
  for (const ms of group.late) {
    const at = Math.min(x(ms), end - 3);
    draw("late", `M${at} 8h2v12h-2zM${at} 12h${end - at}v3h-${end - at}z`);
  }
  return paths;
}

function NowLine({ day, width, now, high }) {
  const { from, span, x } = placed(day, width);
  return now > from && now < from + span && html`<path class="now-l" d=${`M${x(now)} 0v${high}`} />`;
}

function Grid({ day, width, high }) {
  const { from, span, x } = placed(day, width);
  const lines = hoursOf(from, span, width).map((ms) => `M${x(ms)} 0v${high}`);
  return html`<path class="grid-l" d=${lines.join("")} />`;
}

const HOURS = [2, 3, 4, 6, 8, 12, 24];
const HOUR_PX = 26;

/** Every second hour of the span, or fewer: as many as have room for their names. */
function hoursOf(from, span, width) {
  const step = (HOURS.find((hours) => (hours * 3600e3 * width) / span >= HOUR_PX) ?? 24) * 3600e3;
  return Array.from({ length: Math.floor(span / step) }, (_, index) => from + index * step);
}

/** A row's runs hour by hour: how many, and how many of them are not well. @param {any} day @param {any} group
 *  @returns {{ms: number, n: number, bad: [string, number][]}[]} */
export function hourly(day, group) {
  const { from, span } = placed(day, 1);
  const hours = Array.from({ length: Math.ceil(span / 3600e3) }, (_, place) => ({ ms: from + place * 3600e3, n: 0, states: {} }));
  const put = (ms, state, n) => {
    const hour = hours[Math.min(hours.length - 1, Math.max(0, Math.floor((ms - from) / 3600e3)))];
    hour.n += n;
    hour.states[state] = (hour.states[state] ?? 0) + n;
  };
  for (const [state, marks] of Object.entries(group.marks)) for (const [place, n] of marks) put(from + ((place + 0.5) / day.bins) * span, state, n);
  for (const ms of group.bars) put(ms, "running", 1);
  for (const ms of group.late) put(ms, "late", 1);
  return hours.map(({ ms, n, states }) => ({ ms, n, bad: ["failure", "error", "lost", "late", "held"].filter((state) => states[state]).map((state) => /** @type {[string, number]} */ ([state, states[state]])) }));
}

/** A row's lane. A drag over it opens the runs of that span, a click those around the place.
 *  @param {{group: any, day: any, width: number, now: number, href: (span: any) => string}} of */
export function Lane({ group, day, width, now, href }) {
  const paths = lanePaths(group, day, width, now);
  return html`<svg viewBox=${`0 0 ${width} ${HIGH}`} preserveAspectRatio="none" role="img" aria-label=${laneWords(group)} ...${brushed(day, href)}>
    <${Grid} day=${day} width=${width} high=${HIGH} />
    ${ORDER.map((state) => paths[state] && html`<path class=${`f-${state}`} d=${paths[state]} />`)}
    <${NowLine} day=${day} width=${width} now=${now} high=${HIGH} />
  </svg>`;
}

/** The sum of all rows: how many runs when, trouble on top. */
export function Histogram({ group, day, width, now, href }) {
  const { from, span, x } = placed(day, width);
  const columns = Array.from({ length: COLUMNS }, () => ({}));
  const put = (ms, state, n) => {
    const place = Math.floor(((ms - from) / span) * COLUMNS);
    const column = columns[Math.min(COLUMNS - 1, Math.max(0, place))];
    column[state] = (column[state] ?? 0) + n;
  };
  for (const [state, marks] of Object.entries(group.marks)) for (const [place, n] of marks) put(from + ((place + 0.5) / day.bins) * span, state, n);
  for (const ms of group.bars) put(ms, "running", 1);
  for (const ms of group.late) put(ms, "late", 1);
  const most = Math.max(1, ...columns.map((column) => Object.values(column).reduce((sum, n) => sum + n, 0)));
  const paths = {};
  const step = (width - 2) / COLUMNS;
  columns.forEach((column, index) => {
    let y = ALL_HIGH;
    for (const state of ORDER) {
      if (!column[state]) continue;
      const tall = Math.max(2, (column[state] / most) * (ALL_HIGH - 8));
      y -= tall;
      paths[state] = `${paths[state] ?? ""}M${(index * step).toFixed(1)} ${y.toFixed(1)}h${Math.max(1, step - 0.6).toFixed(1)}v${tall.toFixed(1)}h-${Math.max(1, step - 0.6).toFixed(1)}z`;
    }
  });
  return html`<svg viewBox=${`0 0 ${width} ${ALL_HIGH}`} preserveAspectRatio="none" role="img" aria-label=${laneWords(group)} ...${brushed(day, href)}>
    ${ORDER.map((state) => paths[state] && html`<path class=${`f-${state}`} d=${paths[state]} />`)}
    <path class="axis-l" d=${`M0 ${ALL_HIGH - 0.5}h${width}`} />
    <${NowLine} day=${day} width=${width} now=${now} high=${ALL_HIGH} />
  </svg>`;
}

/** The hours above the lanes, with now among them. */
export function Hours({ day, width, now }) {
  const { from, span, x } = placed(day, width);
  const here = now > from && now < from + span ? x(now) : -100;
  const tag = Math.min(width - 36, Math.max(0, here - 18));
  return html`<svg class="hours-x" viewBox=${`0 0 ${width} 18`} preserveAspectRatio="none" aria-hidden="true">
    ${hoursOf(from, span, width).map((ms) => Math.abs(x(ms) + 6 - here) > 26 && html`<text class="lbl" x=${x(ms)} y="13">${clock(ms).slice(0, 2)}</text>`)}
    ${here >= 0 && html`<rect class="now-tag" x=${tag} y="1" width="36" height="16" rx="3" /><text class="now-txt lbl-mid" x=${tag + 18} y="13">${clock(now).slice(0, 5)}</text>`}
  </svg>`;
}

function laneWords(group) {
  const said = Object.entries(group.counts).map(([state, n]) => `${count(n)} ${state}`);
  return `${group.name ? `${group.name}: ` : ""}${said.join(", ") || "no runs"}`;
}

// Where a drag began, ms; null: none is under way. Lanes are drawn anew while it lasts.
let begun = null;

/** A drag over a lane is a span of time. */
function brushed(day, href) {
  const at = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const from = Date.parse(day.from);
    return from + Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * (Date.parse(day.to) - from);
  };
  return {
    onPointerDown: (event) => {
      begun = at(event);
    },
    onPointerUp: (event) => {
      if (begun === null) return;
      const ends = [begun, at(event)].sort((a, b) => a - b);
      const narrow = (Date.parse(day.to) - Date.parse(day.from)) / 96;
      const pad = ends[1] - ends[0] < narrow ? narrow : 0;
      begun = null;
      go(href({ since: iso(ends[0] - pad), until: iso(ends[1] + pad) }));
    },
  };
}

function iso(ms) {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
