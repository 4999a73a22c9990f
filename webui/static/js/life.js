// The life of a run: every state to scale, when it usually ends, the now-line while it lives.
import { html } from "./preact.js";
import { clock, clockMs, due, duration, FINISHED, lateness } from "./format.js";
import { useWidth } from "./daylanes.js";
import { useNow } from "./stream.js";

// Until the width there is has been measured.
const WIDE = 1168;
const SPAN_WORDS = { waiting: "waited", starting: "starting", running: "ran", stopping: "stopping" };
const COLOUR = { starting: "running", stopping: "late" };
const STEPS_S = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 21600, 43200, 86400];
const TICKS = 12;

/** @param {{run: any}} of */
export function Life({ run }) {
  const ticking = useNow();
  const [box, wide] = useWidth(WIDE);
  const over = FINISHED.has(run.state);
  const moves = Object.entries(run.times)
    .map(([state, at]) => /** @type {[string, number]} */ ([state, Date.parse(at)]))
    .filter(([state]) => state !== "scheduled" || run.state === "scheduled")
    .sort((a, b) => a[1] - b[1]);
  if (run.state === "scheduled" || !moves.length) return null;
  const begin = Math.min(due(run), moves[0][1]);
  const last = moves[moves.length - 1];
  const now = over ? last[1] : ticking;
  const band = over ? null : bandOf(run);
  const end = over ? Math.max(now, begin + 1) : Math.max(now + (now - begin) * 0.12, band ? band.p90 + (band.p90 - begin) * 0.02 : 0, begin + 1000);
  const x = (ms) => 8 + ((ms - begin) / (end - begin)) * (wide - 18);
  const bars = moves.slice(0, over ? -1 : undefined).map(([state, at], index) => [COLOUR[state] ?? state, at, Math.max(moves[index + 1]?.[1] ?? now, at)]);
  const word = (index) => (!over && index === bars.length - 1 ? run.state : (SPAN_WORDS[moves[index][0]] ?? moves[index][0]));
  return html`<div class="hide-s" ref=${box}>
    <svg class="life" viewBox=${`0 0 ${wide} 60`} role="img" aria-label=${spoken(run, band, last, now)}>
      <path class="axis-l" d=${`M8 32h${wide - 18}`} />
      <${Scale} begin=${begin} end=${end} x=${x} wide=${wide} />
      ${band && html`<rect class="band" x=${x(band.p10)} y="22" width=${Math.max(1, x(band.p90) - x(band.p10))} height="20" /><path class="p90" d=${`M${x(band.p10)} 20v24M${x(band.p90)} 20v24`} /><path class="p50" d=${`M${x(band.p50)} 20v24`} />`}
      ${due(run) < (bars[0]?.[1] ?? 0) - 500 && html`<rect class=${lateness(run, now) ? "f-late" : "f-scheduled"} x=${x(due(run))} y="28" width=${Math.max(1, x(bars[0][1]) - x(due(run)))} height="8" />`}
      ${bars.map(([state, from, to]) => html`<rect class=${`f-${state}`} x=${x(from)} y="24" width=${Math.max(2, x(to) - x(from))} height="16"><title>${spanned(state, from, to)}</title></rect>`)}
      ${over && html`<rect class=${`f-${run.state}`} x=${x(last[1]) - 3} y="18" width="5" height="28" />`}
      ${bars.map(([, from, to], index) => x(to) - x(from) > 130 && html`<text class="lbl-2" x=${x(from) + 2} y="16">${word(index)} ${duration((to - from) / 1000)}${word(index) === "running" && run.agent ? ` on ${run.agent}` : ""}</text>`)}
      ${band && x(band.p50) - x(now) > 120 && html`<text class="lbl-2 lbl-mid" x=${Math.min(x(band.p50), wide - 230)} y="16">half of ${run.usual.n} runs ended by ${clock(band.p50)}</text>`}
      ${band && x(now) < wide - 170 && html`<text class="lbl lbl-end" x=${wide - 8} y="16">nine in ten ${clock(band.p90)}</text>`}
      ${over
        ? html`<text class="lbl-2 lbl-end" x=${wide - 10} y="12">${run.state}${run.reason ? `: ${String(run.reason).slice(0, 90)}` : ""}</text>`
        : html`<path class="now-l" d=${`M${x(now)} 14v32`} /><rect class="now-tag" x=${x(now) - 27} y="0" width="54" height="15" rx="3" /><text class="now-txt lbl-mid" x=${x(now)} y="11.5">${clock(now)}</text>`}
    </svg>
  </div>`;
}

/** A span of a life to the millisecond, where one points at it. */
function spanned(state, from, to) {
  return `${state} from ${clockMs(from)} to ${clockMs(to)}, ${duration((to - from) / 1000)}`;
}

/** When a run that runs should end, by what others took. */
function bandOf(run) {
  const began = run.times.running && run.state === "running" ? Date.parse(run.times.running) : null;
  if (began === null || !run.usual) return null;
  return { p10: began + run.usual.p10 * 1000, p50: began + run.usual.p50 * 1000, p90: began + run.usual.p90 * 1000 };
}

function Scale({ begin, end, x, wide }) {
  const span = (end - begin) / 1000;
  if (span < 1) return html`<text class="lbl" x="8" y="57">${clockMs(begin)}</text><text class="lbl lbl-end" x=${wide - 10} y="57">${clockMs(end)}</text>`;
  const step = (STEPS_S.find((s) => span / s <= TICKS) ?? 86400 * Math.ceil(span / 86400 / TICKS)) * 1000;
  const first = Math.ceil(begin / step) * step;
  const ticks = Array.from({ length: Math.floor((end - first) / step) + 1 }, (_, index) => first + index * step);
  const shown = (ms) => (step >= 60000 ? clock(ms).slice(0, 5) : clock(ms));
  return html`<path class="grid-l" d=${ticks.map((ms) => `M${x(ms).toFixed(1)} 20v24`).join("")} />
    ${ticks.map((ms) => x(ms) < wide - 40 && html`<text class="lbl" x=${x(ms)} y="57">${shown(ms)}</text>`)}`;
}

function spoken(run, band, last, now) {
  const usual = band ? `, half of ${run.usual.n} runs ended after ${duration(run.usual.p50)}, nine in ten after ${duration(run.usual.p90)}` : "";
  return `${run.state} since ${clock(last[1])}${run.state === "running" ? `, for ${duration((now - last[1]) / 1000)}` : ""}${usual}`;
}
