// The output of a run, live: its streams apart, together or side by side; searched, raw, downloaded.
import { html, useEffect, useState } from "./preact.js";
import { bytes, counted, FINISHED } from "./format.js";
import { OutputPane, rawPath } from "./output_pane.js";

// What a process prints: one output, and its two streams where they are told apart.
const PRINTED = ["output", "stdout", "stderr"];

/** The ids of what the run's present attempt prints, or has printed. */
function printed(run, outputs) {
  const known = new Set(outputs.filter((one) => one.attempt === run.attempt).map((one) => one.output_id));
  const split = run.program?.output?.streams === "split" && !FINISHED.has(run.state);
  return PRINTED.filter((id) => id === "output" || split || known.has(id));
}

/** Files that were kept when the process was over. */
export function Artifacts({ run, outputs }) {
  const files = outputs.filter((one) => !PRINTED.includes(one.output_id) && one.attempt === run.attempt);
  const remarks = run.meta?.program?.remarks ?? [];
  if (!files.length) return null;
  return html`<section class="sec panel" aria-label="Artifacts">
    <header><h2>Artifacts</h2><span class="sub">${counted(files.length, "file")}</span></header>
    <table class="log">
      <tbody>
        ${files.map(
          (one) => html`<tr key=${one.output_id}>
            <td class="said"><a href=${rawPath(run, one)} download=${one.name.split("/").pop()}>${one.name}</a></td>
            <td class="dim nowrap">${bytes(one.length)}</td>
          </tr>`,
        )}
      </tbody>
    </table>
    ${remarks.map((remark) => html`<p class="faint small pad">${remark}</p>`)}
  </section>`;
}

const NAMES = { output: "interleaved" };

export function Output({ run, outputs }) {
  const ids = printed(run, outputs);
  const [chosen, setChosen] = useState("output");
  const apart = ids.includes("stdout") && ids.includes("stderr");
  const isSplit = chosen === "split" && apart;
  const outputId = ids.includes(chosen) ? chosen : "output";
  const length = (id) => outputs.find((one) => one.output_id === id && one.attempt === run.attempt)?.length;
  useEffect(() => setChosen("output"), [run.attempt]);
  const tab = (id, name, isChosen) => html`<button key=${id} role="tab" aria-selected=${isChosen ? "true" : "false"} onClick=${() => setChosen(id)}>${name}</button>`;
  const tabs = html`<div class="seg" role="tablist">
    ${ids.map((id) => tab(id, html`${apart ? (NAMES[id] ?? id) : id}${id === "stderr" && length(id) > 0 ? html` <b class="small">${bytes(length(id))}</b>` : ""}`, !isSplit && id === outputId))}
    ${apart && tab("split", "split", isSplit)}
  </div>`;
  if (!isSplit) return html`<div id="output"><${OutputPane} key=${`${outputId}.${run.attempt}`} run=${run} outputs=${outputs} outputId=${outputId} tabs=${tabs} all=${outputs.length > 1} /></div>`;
  return html`<div id="output">
    <div class="out-bar panel split-bar">${tabs}</div>
    <div class="cols-2 out-split">${["stdout", "stderr"].map((id) => html`<${OutputPane} key=${`${id}.${run.attempt}`} run=${run} outputs=${outputs} outputId=${id} tabs=${html`<b class="small">${id}</b>`} />`)}</div>
  </div>`;
}
