// Control: the job folder with a plan of what loading it changes; log, processes, pauses, versions.
import { html, useEffect } from "../preact.js";
import { Icon, Panel, Time, Trouble } from "../parts.js";
import { ago, bytes, count, duration } from "../format.js";
import { pause, Pauses } from "../pauses.js";
import { ReloadPlan, Standing } from "../reloadplan.js";
import { ServerLog } from "../serverlog.js";
import { may } from "../session.js";
import { stream } from "../stream.js";
import { useGet } from "../views_common.js";

const REREAD_MS = 3000;

export function ControlView() {
  const { value, error, again } = useGet("/api/v2/health");
  useEffect(() => {
    const timer = setInterval(() => stream.status === "live" && document.visibilityState === "visible" && again(), REREAD_MS);
    return () => clearInterval(timer);
  }, []);
  if (error && !value) return html`<${Trouble} error=${error} again=${again} />`;
  if (!value) return html`<div class="top"><h1>Control</h1></div>`;
  const fine = value.status === "ok";
  return html`<div>
    <div class="top">
      <h1>Control</h1><span class=${`state s-${fine ? "success" : "late"}`}><${Icon} state=${fine ? "success" : "late"} /><span>${value.status}</span></span>
      <span class="dim small">callsheet ${value.versions.callsheet} · Python ${value.versions.python} · SQLite ${value.versions.sqlite} · since <${Time} at=${value.started} /></span>
      <${Standing} standing=${value.jobs} /><span class="grow"></span>
      ${may("operator") && html`<button class="btn" onClick=${() => pause({ kind: "all", name: "", what: "everything" }, again)}>Pause all starts…</button>`}
    </div>
    ${value.problem && html`<p class="banner" role="alert">${value.problem}</p>`}
    <${ReloadPlan} folder=${value.job_folder} standing=${value.jobs} after=${again} />
    <div class="split split-w sec">
      <${ServerLog} />
      <div class="side"><${Processes} value=${value} /><${Pauses} /><${Server} value=${value} /></div>
    </div>
  </div>`;
}

function Processes({ value }) {
  const rows = value.processes;
  const down = Object.entries(value.roles).filter(([, role]) => role.status !== "up");
  const up = rows.filter((row) => row.status === "up").length;
  return html`<${Panel} title="Processes" sub=${rows.length ? `${up} up${up < rows.length ? `, ${rows.length - up} down` : ""}` : ""}>
    <table class="ps">
      <thead><tr><th>State</th><th>Role</th><th class="num">pid</th><th class="num">Up</th><th class="num">Memory</th><th class="num hide-s">Queue</th><th class="num">Restarts</th></tr></thead>
      <tbody>
        ${rows.map(
          (row) => html`<tr key=${row.role} data-role=${row.role}>
            <td><span class=${`state s-${row.status === "up" ? "success" : "late"}`}><${Icon} state=${row.status === "up" ? "success" : "late"} /><span>${row.status}</span></span></td>
            <td class="strong">${row.role}</td>
            <td class="num mono">${row.pid ?? "–"}</td>
            <td class="num">${row.up_s === null ? "–" : duration(row.up_s)}</td>
            <td class="num">${row.resident_bytes === null ? "–" : bytes(row.resident_bytes)}</td>
            <td class="num hide-s">${row.queue ?? "–"}</td>
            <td class=${`num${row.restarts ? " s-late c" : " dim"}`}>${count(row.restarts)}</td>
          </tr>`,
        )}
        ${rows.length === 0 && Object.entries(value.roles).map(([name, role]) => html`<tr key=${name}><td>${role.status}</td><td class="strong">${name}</td><td colspan="5" class="dim">${role.heard_s === null ? "" : `heard ${ago(role.heard_s)}`}</td></tr>`)}
      </tbody>
    </table>
    ${down.length > 0 && html`<p class="pad bad">${down.map(([name, role]) => `${name} ${role.heard_s === null ? "has not been heard of" : `was heard of ${ago(role.heard_s)}`}`).join(", ")}.</p>`}
  <//>`;
}

function Server({ value }) {
  return html`<${Panel} title="Server">
    <dl class="kv">
      <dt>version</dt><dd>${value.versions.callsheet}, protocol ${value.versions.protocol}</dd>
      <dt>started</dt><dd><${Time} at=${value.started} /></dd>
      <dt>epoch</dt><dd>${value.epoch}</dd>
      <dt>events</dt><dd>${count(value.seq)}</dd>
      <dt>API</dt><dd><a href="/reference">reference</a></dd>
      <dt>findings</dt><dd><a href="/checks">${value.findings}</a>${value.checked_at && html`, checked <${Time} at=${value.checked_at} />`}</dd>
    </dl>
  <//>`;
}
