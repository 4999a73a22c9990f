// Checks: what the sanity checker has found and nobody has mended.
import { html, useEffect } from "../preact.js";
import { Icon, Time, Trouble } from "../parts.js";
import { stream } from "../stream.js";
import { useGet } from "../views_common.js";

export function ChecksView() {
  const { value, error, again } = useGet("/api/v2/checks");
  useEffect(() => stream.follow({ topic: "checks" }, again, again), []);
  if (error && !value) return html`<${Trouble} error=${error} again=${again} />`;
  if (!value) return null;
  return html`<div>
    <div class="top"><h1>Checks</h1><span class="dim">${value.checked_at ? html`last checked <${Time} at=${value.checked_at} full />` : "not checked yet"}</span></div>
    ${value.findings.length === 0
      ? html`<div class="panel empty"><span class="state s-success"><${Icon} state="success" /><span>Everything checked holds.</span></span></div>`
      : html`<div class="panel">
          <table class="runs stack">
            <colgroup><col class="col-state" /><col /><col class="col-arg" /><col class="col-time" /><col class="col-run" /></colgroup>
            <thead><tr><th>Severity</th><th>Finding</th><th>Check</th><th class="num">Since</th><th class="num">Run</th></tr></thead>
            <tbody>
              ${value.findings.map((finding) => {
                const state = finding.severity === "warning" ? "late" : "failure";
                return html`<tr key=${finding.key}>
                  <td class="m-st"><span class=${`state s-${state}`}><${Icon} state=${state} /><span>${finding.severity}</span></span></td>
                  <td class="m-a said" title=${finding.sentence}>${finding.sentence}</td>
                  <td class="m-c dim">${finding.check}</td>
                  <td class="m-b num"><${Time} at=${finding.since} /></td>
                  <td class="m-d num">${finding.run_id && html`<a class="rid" href=${`/runs/${finding.run_id}`}>${finding.run_id}</a>`}</td>
                </tr>`;
              })}
            </tbody>
          </table>
        </div>`}
  </div>`;
}
