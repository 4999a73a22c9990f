// How long the latest runs of a job took: a bar each, oldest left, the usual as a line.
import { html } from "./preact.js";
import { Panel } from "./parts.js";
import { duration, shownState, TROUBLE } from "./format.js";
import { go } from "./router.js";

const MOST = 60;
const FEWEST = 3;
const WIDE = 720;
const HIGH = 64;
const STEP = WIDE / MOST;

/** The median of what good runs took, in s; null when none did. @param {any[]} runs */
export function typical(runs) {
  const times = runs.filter((run) => run.state === "success" && run.elapsed !== null).map((run) => run.elapsed);
  return times.length ? times.sort((a, b) => a - b)[Math.floor(times.length / 2)] : null;
}

/** @param {{runs: any[]}} of the newest first */
export function Durations({ runs }) {
  const shown = runs.filter((run) => run.elapsed !== null && run.elapsed !== undefined).slice(0, MOST).reverse();
  if (shown.length < FEWEST) return null;
  const usual = typical(shown);
  const longest = Math.max(...shown.map((run) => run.elapsed), 0.001);
  const x = (index) => WIDE - (shown.length - index) * STEP;
  const high = (run) => Math.max(2, (run.elapsed / longest) * HIGH);
  const paths = {};
  shown.forEach((run, index) => {
    const h = high(run).toFixed(1);
    paths[shownState(run)] = `${paths[shownState(run)] ?? ""}M${x(index)} ${HIGH + 6 - h}h${STEP - 3}v${h}h-${STEP - 3}z`;
  });
  const bad = shown.filter((run) => TROUBLE.has(run.state)).length;
  const open = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const index = Math.floor(((event.clientX - box.left) / box.width) * MOST) - (MOST - shown.length);
    if (shown[index]) go(`/runs/${shown[index].run_id}`);
  };
  const line = usual === null ? 0 : HIGH + 6 - Math.max(2, (usual / longest) * HIGH);
  return html`<${Panel} title="Duration" sub=${`last ${shown.length} · ${usual === null ? "none ended well" : `usually ${duration(usual)}`} · longest ${duration(longest)}${bad ? ` · ${bad} in trouble` : ""}`} className="sec-b">
    <div class="pad">
      <svg class="bars" viewBox=${`0 0 ${WIDE} ${HIGH + 8}`} preserveAspectRatio="none" role="img" aria-label=${`last ${shown.length} runs, ${bad} in trouble, the longest took ${duration(longest)}`} onClick=${open}>
        ${Object.entries(paths).map(([state, d]) => html`<path class=${`f-${state}`} d=${d} />`)}
        <path class="axis-l" d=${`M0 ${HIGH + 7}h${WIDE}`} />
        ${usual !== null && html`<path class="usual-l" d=${`M0 ${line}h${WIDE}`} />`}
      </svg>
    </div>
  <//>`;
}
