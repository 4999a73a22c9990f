// Graph: what hangs on what among the jobs of a query, or around one job.
import { html } from "../preact.js";
import { JobName, Trouble } from "../parts.js";
import { query as asQuery } from "../api.js";
import { counted } from "../format.js";
import { GraphView } from "../graphview.js";
import { PlanViews, useKeptGet } from "../plan_parts.js";
import { QueryBox } from "../querybox.js";
import { go, here, useUrl } from "../router.js";
import { useRefreshed } from "../views_common.js";

const REREAD_MS = 4000;
const STEPS = [1, 2, 3, 5, 20];

export function JobGraphView() {
  const url = useUrl();
  const { q = "", focus = "", up = "2", down = "3" } = Object.fromEntries(url.searchParams);
  const path = focus ? asQuery({ focus, up, down }) : asQuery({ q });
  const { value, error, again } = useKeptGet(`/api/v2/graph${path}`);
  useRefreshed(again, REREAD_MS);
  const set = (changes, replace = false) => {
    const next = here();
    for (const [name, text] of Object.entries(changes)) {
      if (text) next.searchParams.set(name, text);
      else next.searchParams.delete(name);
    }
    go(next.pathname + next.search, { replace });
  };
  const steps = (name, now) => html`<select class="field" aria-label=${name === "up" ? "Steps before it" : "Steps after it"} value=${now} onChange=${(event) => set({ [name]: event.target.value })}>${STEPS.map((n) => html`<option value=${n} selected=${String(n) === now}>${n === 20 ? "all" : n} ${name === "up" ? "before" : "after"}</option>`)}</select>`;
  return html`<div>
    <div class="top">
      <h1 class="sr">Graph</h1>
      <${PlanViews} at="/graph" q=${q} />
      <${QueryBox} q=${q} set=${(text, replace) => set({ q: text, focus: "" }, replace)} error=${error} live=${value ? counted(value.nodes.length, "job") : ""} />
      ${value && html`<span class="dim small nowrap">${counted(value.nodes.length, "job")}, ${counted(value.edges.length, "dependency", "dependencies")}</span>`}
    </div>
    ${focus && html`<div class="facets wraps"><span>around <${JobName} id=${focus} /></span> ${steps("up", up)} ${steps("down", down)} <button onClick=${() => set({ focus: "", up: "", down: "" })}>all jobs</button></div>`}
    ${error && !value
      ? html`<${Trouble} error=${error} again=${again} />`
      : value &&
        (value.nodes.length === 0 || value.edges.length === 0
          ? html`<div class="panel empty">No job${q && html` of <code>${q}</code>`} waits for another or is started by one.</div>`
          : html`<div class="panel pad"><${GraphView} graph=${value} focus=${focus} /></div>`)}
    ${value && !value.complete && html`<p class="faint small">Only 300 jobs are drawn: narrow the query, or look around one job.</p>`}
    ${(value || error) && html`<div class="legend legend-row"><span>from left to right: what is needed, then what needs it</span><span class="faint">dashed: an action starts it · ink: it holds a run up · the state is that of the latest run</span></div>`}
  </div>`;
}
