// Loading the job folder: a plan of what it would change, in three columns, before anything does.
import { html, useEffect, useState } from "./preact.js";
import { Args, JobName, Panel, Time } from "./parts.js";
import { get, post } from "./api.js";
import { ask } from "./dialog.js";
import { count, counted } from "./format.js";
import { may } from "./session.js";
import { copy } from "./clipboard.js";
import { Diff } from "./source.js";
import { attempt, done, failed } from "./toast.js";
import { toYaml } from "./yaml.js";

const DAYS = 14;
const SHOWN = 12;
// Of one job so many, that others are seen, too.
const OF_A_JOB = 4;
const PLURAL = { moves: "move", vanishes: "vanish", appears: "appear" };
const ORDER = ["moves", "vanishes", "appears"];
const STALE = /stale|changed since|other than/i;

/** @param {{folder: string, standing: any, after: () => void}} of */
export function ReloadPlan({ folder, standing, after }) {
  if (!may("operator")) return html`<${Panel} title="Job folder" sub=${folder}><p class="empty">Looking at it and loading it take the role operator.</p><//>`;
  return html`<${Planned} folder=${folder} standing=${standing} after=${after} />`;
}

function Planned({ folder, standing, after }) {
  const [plan, setPlan] = useState(null);
  const [problems, setProblems] = useState(null);
  const [chosen, setChosen] = useState("");
  const look = async () => {
    try {
      const found = await get(`/api/v2/plan?days=${DAYS}`);
      setProblems(null);
      setPlan(found);
    } catch (error) {
      setPlan(null);
      if (error.body?.job_errors) setProblems(error.body);
      else attempt("Could not read the job folder", () => Promise.reject(error));
    }
  };
  // The server watches the folder: what it finds there is planned anew.
  const seen = standing ? `${standing.different} ${standing.problem_count}` : "";
  useEffect(() => {
    look();
  }, [seen]);
  const load = async () => {
    const n = plan.jobs.length;
    const text = `${effects(plan)} Runs under way stay as they are${plan.waiting.length ? `; ${counted(plan.waiting.length, "waiting run")} wait on under the old definition` : ""}.`;
    if ((await ask({ title: `Load ${counted(n, "changed job")}?`, text, deed: `Load ${count(n)}`, safe: "Not now" })) === null) return;
    try {
      const found = await post("/api/v2/reload", { plan: plan.id });
      done(`Loaded: ${changes(found)}`);
    } catch (error) {
      failed(STALE.test(error.message) ? "The folder has changed since: it is planned again" : "Could not load the job folder", error);
    }
    await look();
    after();
  };
  const n = plan?.jobs.length ?? 0;
  const current = plan?.files[chosen] ? chosen : Object.keys(plan?.files ?? {})[0];
  const end = html`${n > 0 && html`<button class="btn small hide-s" onClick=${() => copy(plan.markdown, "the plan")}>Copy as Markdown</button>`}<button class="btn small" onClick=${look}>Look again</button>${n > 0 && html`<button class="btn small main" onClick=${load}>Load ${counted(n, "change")}…</button>`}`;
  return html`<${Panel} title="Job folder" sub=${n > 0 ? `${folder} · a plan of the next ${DAYS} days` : folder} end=${end}>
    ${problems &&
    html`<div class="pad" role="alert">
      <p class="bad">${problems.error}</p>
      <table><tbody>${problems.job_errors.map(([job, sentence]) => html`<tr><td class="said mono" title=${job}>${sentence}</td></tr>`)}</tbody></table>
      <p class="dim sec-s">The last good set of jobs stays in force.</p>
    </div>`}
    ${n === 0 && !problems && html`<p class="empty slim">${plan ? "The folder is as it was loaded." : "Reading the folder"}</p>`}
    ${plan &&
    n > 0 &&
    html`<div class="rp">
      <div><${Jobs} plan=${plan} current=${current} choose=${setChosen} /></div>
      <div><div class="rph dim small">${current ?? ""}</div>${current && html`<${Diff} before=${text(plan.files[current][0])} after=${text(plan.files[current][1])} />`}</div>
      <div><${Moves} plan=${plan} /></div>
    </div>
    <p class="out-foot">${plan.complete ? "Stale after any further change; then it is planned again." : "Too much changes to be told run by run."}</p>`}
  <//>`;
}

function text(file) {
  return file ? toYaml(file) : "";
}

function Jobs({ plan, current, choose }) {
  const moves = {};
  for (const run of plan.runs) {
    moves[run.job_id] ??= {};
    moves[run.job_id][run.what] = (moves[run.job_id][run.what] ?? 0) + 1;
  }
  return html`<table class="plan pl"><tbody>
      ${plan.jobs.map(
        (job) => html`<tr key=${job.job_id} class=${job.job_id === current ? "picked" : ""} onClick=${() => choose(job.job_id)}>
          <td class="strong">${job.what}</td>
          <td class="wide"><${JobName} id=${job.job_id} href=${job.what === "added" ? null : undefined} /> <span class="faint small">${job.parts.join(", ")}</span></td>
          <td class="num small">${Object.entries(moves[job.job_id] ?? {}).map(([what, n]) => html`<div>${count(n)} ${n === 1 ? what : (PLURAL[what] ?? what)}</div>`)}${job.more > 0 && html`<div>and ${count(job.more)} more</div>`}</td>
        </tr>`,
      )}
    </tbody></table>
    ${plan.waiting.length > 0 &&
    html`<p class="pad dim small">Waiting runs keep the definition they were bound to: ${plan.waiting.slice(0, SHOWN).map((run, place) => html`${place > 0 && ", "}<a href=${`/runs/${run.run_id}`}><b>${run.run_id}</b></a>`)}${plan.waiting.length > SHOWN ? ` and ${count(plan.waiting.length - SHOWN)} more` : ""}.</p>`}`;
}

function Moves({ plan }) {
  const seen = {};
  const shown = [...plan.runs]
    .sort((a, b) => ORDER.indexOf(a.what) - ORDER.indexOf(b.what))
    .filter((run) => (seen[run.job_id] = (seen[run.job_id] ?? 0) + 1) <= OF_A_JOB)
    .slice(0, SHOWN);
  return html`<div class="rph dim small">${plan.runs.length ? moved(plan.runs) : "No run moves, appears or vanishes."}</div>
    <table class="mv"><tbody>
      ${shown.map(
        (run, place) => html`<tr key=${place}>
          <td class="dim">${run.what}</td>
          <td class="cut"><${JobName} id=${run.job_id} href=${null} /> <${Args} args=${run.args} /></td>
          <td class="num"><${Time} at=${run.schedule_time} />${run.moves_to && html` → <b><${Time} at=${run.moves_to} /></b>`}</td>
        </tr>`,
      )}
      ${plan.runs.length > shown.length && html`<tr><td></td><td class="faint">and ${count(plan.runs.length - shown.length)} more</td><td></td></tr>`}
    </tbody></table>`;
}

/** `336 runs appear, 1 moves`. @param {any[]} runs */
function moved(runs) {
  const said = ORDER.map((what) => /** @type {[string, number]} */ ([what, runs.filter((run) => run.what === what).length])).filter(([, n]) => n > 0);
  return said.map(([what, n], place) => `${place ? count(n) : counted(n, "run")} ${n === 1 ? what : PLURAL[what]}`).join(", ");
}

function effects(plan) {
  return plan.runs.length ? `In the next ${DAYS} days ${moved(plan.runs)}.` : `No run of the next ${DAYS} days moves.`;
}

function changes(found) {
  const words = ["added", "changed", "removed"].filter((word) => found[word].length).map((word) => `${found[word].length} ${word}`);
  return words.join(", ") || "no changes";
}

/** In short: how many changes of the folder are not loaded. */
export function Standing({ standing }) {
  if (!standing || !standing.different) return null;
  return html`<b>${counted(standing.different, "change")} not loaded</b>`;
}
