// Control: load the job folder with a look at what would change; how the server does.
import { html, useEffect, useState } from "../preact.js";
import { Icon, JobName, Panel, Time, Trouble } from "../parts.js";
import { post } from "../api.js";
import { ask } from "../dialog.js";
import { ago, count, counted } from "../format.js";
import { Pauses } from "../pauses.js";
import { may } from "../session.js";
import { attempt, done } from "../toast.js";
import { useGet } from "../views_common.js";

const REREAD_MS = 3000;

export function ControlView() {
  const { value, error, again } = useGet("/api/v2/health");
  useEffect(() => {
    const timer = setInterval(again, REREAD_MS);
    return () => clearInterval(timer);
  }, []);
  if (error && !value) return html`<${Trouble} error=${error} again=${again} />`;
  return html`<div>
    <div class="top"><h1>Control</h1>${value && html`<span class=${`state s-${value.status === "ok" ? "success" : "late"}`}><${Icon} state=${value.status === "ok" ? "success" : "late"} /><span>${value.status}</span></span>`}</div>
    <div class="split">
      <div class="side"><${Reload} folder=${value?.job_folder} /><${Pauses} /></div>
      <div class="side">${value && html`<${Health} value=${value} /><${Server} value=${value} />`}</div>
    </div>
  </div>`;
}

function Reload({ folder }) {
  if (!may("operator")) return html`<${Panel} title="Job folder" sub=${folder}><p class="empty">Looking at it and loading it take the role operator.</p><//>`;
  return html`<${Loading} folder=${folder} />`;
}

function Loading({ folder }) {
  const [plan, setPlan] = useState(null);
  const [problems, setProblems] = useState(null);
  const look = async (dry) => {
    try {
      const found = await post("/api/v2/reload", { dry_run: dry });
      setProblems(null);
      setPlan(dry ? found : null);
      if (!dry) done(`Loaded: ${changes(found)}`);
    } catch (error) {
      setPlan(null);
      if (error.body?.job_errors) setProblems(error.body);
      else attempt("Could not read the job folder", () => Promise.reject(error));
    }
  };
  useEffect(() => {
    look(true);
  }, []);
  const n = plan ? plan.added.length + plan.changed.length + plan.removed.length : 0;
  const load = async () => {
    const text = "Expected runs of these jobs are withdrawn and planned anew. Runs under way stay as they are.";
    if ((await ask({ title: `Load ${counted(n, "changed job")}?`, text, deed: `Load ${count(n)}`, safe: "Not now" })) !== null) look(false);
  };
  return html`<${Panel} title="Job folder" sub=${folder} end=${html`<button class="btn small" onClick=${() => look(true)}>Look again</button>${n > 0 && html`<button class="btn small main" onClick=${load}>Load ${counted(n, "change")}…</button>`}`}>
    ${problems &&
    html`<div class="pad" role="alert">
      <p class="bad">${problems.error}</p>
      <table><tbody>${problems.job_errors.map(([job, sentence]) => html`<tr><td class="said mono" title=${job}>${sentence}</td></tr>`)}</tbody></table>
      <p class="dim sec-s">The last good set of jobs stays in force.</p>
    </div>`}
    ${plan && n === 0 && html`<p class="empty">The folder is as it was loaded.</p>`}
    ${plan &&
    n > 0 &&
    html`<table class="plan"><tbody>
      ${["added", "changed", "removed"].flatMap((word) => plan[word].map((id) => html`<tr key=${id}><td class="dim">${word}</td><td class="wide"><${JobName} id=${id} href=${word === "added" ? null : undefined} /></td></tr>`))}
    </tbody></table>`}
  <//>`;
}

function changes(found) {
  const words = ["added", "changed", "removed"].filter((word) => found[word].length).map((word) => `${found[word].length} ${word}`);
  return words.join(", ") || "no changes";
}

function Health({ value }) {
  return html`<${Panel} title="Processes">
    <ul class="lt">
      ${Object.entries(value.roles).map(
        ([name, role]) => html`<li><${Icon} state=${role.status === "up" ? "success" : "late"} /><span class="grow">${name}</span><span class="r">${role.status}${role.heard_s !== null ? `, heard ${ago(role.heard_s)}` : ""}</span></li>`,
      )}
    </ul>
    ${value.problem && html`<p class="pad bad">${value.problem}</p>`}
  <//>`;
}

function Server({ value }) {
  return html`<${Panel} title="Server">
    <dl class="kv">
      <dt>version</dt><dd>${value.versions.callsheet}</dd>
      <dt>started</dt><dd><${Time} at=${value.started} /></dd>
      <dt>epoch</dt><dd>${value.epoch}</dd>
      <dt>events</dt><dd>${count(value.seq)}</dd>
      <dt>findings</dt><dd><a href="/checks">${value.findings}</a></dd>
    </dl>
  <//>`;
}
